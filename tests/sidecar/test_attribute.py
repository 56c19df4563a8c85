"""Owns the proof that only GPUs that are proven to be the pod's are published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.attribute import Claim, attribute, claim
from sidecar.sharing import SharedGpu
from sidecar.wire import Attribution, GpuReading

ONE = "GPU-00000001-0000-4000-8000-000000000001"
TWO = "GPU-00000002-0000-4000-8000-000000000002"
VISIBLE = (GpuReading(uuid=ONE, busy_percent=10.0), GpuReading(uuid=TWO, busy_percent=90.0))


def test_the_setting_is_proof_and_only_its_gpus_are_published() -> None:
    gpus, visible, attribution = attribute(VISIBLE, claim((TWO,), None))
    assert (gpus, visible) == ((VISIBLE[1],), None)
    assert attribution == Attribution(how="gpu-uuids", why="the setting gpu-uuids names them")


def test_uuids_in_the_environment_are_proof() -> None:
    gpus, visible, attribution = attribute(VISIBLE, claim((), f"{TWO}, {ONE},{ONE}"))
    assert (gpus, visible) == ((VISIBLE[1], VISIBLE[0]), None)
    assert attribution.how == "NVIDIA_VISIBLE_DEVICES"


def test_the_setting_stands_before_the_environment() -> None:
    assert claim((ONE,), TWO).ids == (ONE,)


@pytest.mark.parametrize("value", [None, "", "all", "none", "void", "0", "0,1", f"{ONE},1"])
def test_anything_else_proves_nothing_and_withholds_every_gpu(value: str | None) -> None:
    gpus, visible, attribution = attribute(VISIBLE, claim((), value))
    assert gpus is None
    assert visible == VISIBLE
    assert attribution.how is None
    assert attribution.why is not None
    assert "--gpu-uuids" in attribution.why


def test_a_shared_gpu_is_withheld_since_its_load_is_also_the_neighbours() -> None:
    gpus, visible, attribution = attribute(VISIBLE, claim((), f"{ONE}::3"))
    assert (gpus, visible) == (None, VISIBLE)
    assert attribution.why is not None
    assert "shared" in attribution.why


def test_a_proven_gpu_that_nvml_does_not_show_stays_without_figures() -> None:
    gpus, _, attribution = attribute(VISIBLE[:1], claim((ONE, TWO), None))
    assert gpus == (VISIBLE[0], GpuReading(uuid=TWO))
    assert attribution.why == f"the setting gpu-uuids names them; NVML does not show {TWO}"


def test_when_nvml_shows_none_of_the_proven_gpus_none_is_published() -> None:
    gpus, visible, attribution = attribute(
        VISIBLE, Claim(ids=("MIG-12345678-aaaa",), how="gpu-uuids")
    )
    assert (gpus, visible) == (None, VISIBLE)
    assert attribution == Attribution(why="NVML does not show MIG-12345678-aaaa")


def test_mps_shares_a_gpu_also_where_its_uuid_is_named() -> None:
    gpus, visible, attribution = attribute(VISIBLE, claim((), ONE, mps_pipe="/mps/pipe"))
    assert (gpus, visible) == (None, VISIBLE)
    assert attribution.why is not None
    assert "shared by MPS" in attribution.why


def test_a_shared_gpu_that_is_allowed_is_published_once_and_marked() -> None:
    allow = SharedGpu.ALLOW
    for proven in (
        claim((), f"{ONE}::3,{ONE}::4", shared_gpu=allow),
        claim((), ONE, mps_pipe="/mps/pipe", shared_gpu=allow),
        claim((ONE,), None, mps_pipe="/mps/pipe"),  # withheld or not when it is published
    ):
        gpus, visible, _ = attribute(VISIBLE, proven)
        assert gpus == (GpuReading(uuid=ONE, busy_percent=10.0, shared=True),)
        assert visible is None


def test_inside_the_models_container_the_scope_travels_with_what_is_seen() -> None:
    _, visible, attribution = attribute(VISIBLE, claim((), "void", scope="container"))
    assert visible == VISIBLE
    assert attribution.scope == "container"


def test_an_index_is_no_proof_in_a_container_and_names_a_gpu_on_the_node() -> None:
    seen = (GpuReading(uuid=ONE, index=0), GpuReading(uuid=TWO, index=1))
    assert attribute(seen, Claim(ids=("1",), how="x")).gpus is None
    assert attribute(seen, Claim(ids=("1",), how="x", whole_node=True)).gpus == (seen[1],)


PARTS = st.sampled_from(
    (ONE, TWO, f"{ONE}::1", "0", "all", "none", "MIG-12345678-aaaa", "", "GPU-", "nvidia.com/gpu=0")
)


@given(
    st.lists(PARTS, max_size=4),
    st.none() | st.lists(PARTS, max_size=4).map(",".join) | st.text(max_size=30),
    st.none() | st.just("/tmp/mps"),  # noqa: S108 - a value of its environment
    st.sampled_from(SharedGpu),
)
def test_whatever_the_environment_says_no_gpu_is_published_that_it_does_not_name(
    setting: list[str], environment: str | None, mps: str | None, sharing: SharedGpu
) -> None:
    given_uuids = tuple(part for part in setting if part)
    proven = claim(given_uuids, environment, mps_pipe=mps, shared_gpu=sharing)
    gpus, visible, attribution = attribute(VISIBLE, proven)
    named = (*given_uuids, *(environment or "").split(","))
    for gpu in gpus or ():
        assert any(gpu.uuid in one or one.strip() in gpu.uuid for one in named if one.strip())
    assert (gpus is None) is (visible is not None)
    assert (gpus is None) is (attribution.how is None)
    if gpus is None:
        assert attribution.why
        assert visible == VISIBLE
