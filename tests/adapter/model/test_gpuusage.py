"""A pod's utilisation as usage of `nvidia.com/gpu`, for every shape of pod that an HPA may meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.gpuusage import usage
from adapter.model.quantity import parse_milli

CASES = [
    # what, requests, containers of the item, percent, usage
    ("one container", {"llm": 1}, ["llm"], 79.0, {"llm": "790m"}),
    ("beside a sidecar", {"llm": 1}, ["llm", "side"], 80.0, {"llm": "800m", "side": "0"}),
    ("four GPUs are summed", {"llm": 4}, ["llm"], 80.0, {"llm": "3200m"}),
    ("eight busy GPUs", {"llm": 8}, ["llm"], 100.0, {"llm": "8"}),
    ("two holders", {"a": 1, "b": 2}, ["a", "b"], 50.0, {"a": "500m", "b": "1"}),
    ("idle is a value", {"llm": 1}, ["llm", "side"], 0.0, {"llm": "0", "side": "0"}),
    ("no request, no key", {}, ["llm"], 50.0, None),
    ("its container is not running", {"llm": 1}, ["side"], 50.0, None),
    ("one of its holders is not running", {"a": 1, "b": 1}, ["a", "side"], 50.0, None),
    ("nothing is running", {"llm": 1}, [], 50.0, None),
]


@pytest.mark.parametrize(
    ("gpus", "containers", "percent", "wanted"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_usage_is_in_thousandths_of_the_request_and_on_all_containers_or_none(
    gpus: dict[str, int], containers: list[str], percent: float, wanted: dict[str, str] | None
) -> None:
    assert usage(gpus, containers, round(percent * 1000)) == wanted


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 16), min_size=1),
    st.integers(0, 100_000),
)
def test_an_hpas_percentage_is_the_utilisation(gpus: dict[str, int], milli_percent: int) -> None:
    found = usage(gpus, [*gpus, "sidecar"], milli_percent)
    assert found is not None
    used = sum(parse_milli(quantity) for quantity in found.values())
    requested = 1000 * sum(gpus.values())
    assert abs(used * 100 / requested - milli_percent / 1000) < 0.1
    assert found["sidecar"] == "0"
