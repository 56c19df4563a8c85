"""One field has three spellings, and says what may stand in each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.leaf import leaves

BY_KEY = {leaf.key: leaf for leaf in leaves()}


def test_a_path_is_spelled_in_three_ways() -> None:
    leaf = BY_KEY["intake.allowLoopback"]
    assert leaf.flag == "--intake-allow-loopback"
    assert leaf.variable == "FORESCALE_ADAPTER_INTAKE_ALLOW_LOOPBACK"
    assert leaf.shape == "BOOL"


@given(st.sampled_from(sorted(BY_KEY)), st.text(max_size=20) | st.integers() | st.none())
def test_any_value_is_taken_or_refused_in_words(key: str, raw: object) -> None:
    leaf = BY_KEY[key]
    try:
        found = leaf.parse(raw)
    except ValueError:
        return
    assert isinstance(found, leaf.type if leaf.type in (bool, int, float, str) else (tuple, dict))


def test_what_stands_wrong_within_a_list_is_told_by_its_place() -> None:
    with pytest.raises(ValueError, match=r"^\[1\]\.query is missing$"):
        BY_KEY["prometheus.objects"].parse("[{metric: a, query: b}, {metric: c}]")


def test_every_entry_of_a_list_that_is_wrong_is_told() -> None:
    with pytest.raises(ValueError, match="query") as raised:
        BY_KEY["prometheus.objects"].parse("[{metric: a}, 7, {metric: b, query: c}, {query: d}]")
    assert str(raised.value).splitlines() == [
        "[0].query is missing",
        "[1] is a whole number: write a mapping",
        "[3].metric is missing",
    ]


def test_every_entry_of_a_mapping_that_is_wrong_is_told_by_its_name() -> None:
    with pytest.raises(ValueError, match="onDemand") as raised:
        BY_KEY["cost.prices.perGpuHour"].parse("{a: {}, b: {onDemand: 1}, 7: {}, c: [], d: {o: 1}}")
    assert str(raised.value).splitlines() == [
        ".a.onDemand is missing",
        "`7` is no text: put it in quotes",
        ".c is a list: write a mapping",
        ".d.o is none of the keys there: leave it out",
    ]
