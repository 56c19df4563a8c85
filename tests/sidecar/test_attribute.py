"""Owns the proof that only GPUs that are proven to be the pod's are published."""

from __future__ import annotations

import pytest

from sidecar.attribute import Claim, attribute, claim
from sidecar.wire import Attribution, GpuReading

ONE = "GPU-00000001-0000-4000-8000-000000000001"
TWO = "GPU-00000002-0000-4000-8000-000000000002"
VISIBLE = (GpuReading(uuid=ONE, busy_percent=10.0), GpuReading(uuid=TWO, busy_percent=90.0))


def test_the_setting_is_proof_and_only_its_gpus_are_published() -> None:
    gpus, attribution = attribute(VISIBLE, claim((TWO,), None))
    assert gpus == (VISIBLE[1],)
    assert attribution == Attribution(how="gpu-uuids", why="the setting gpu-uuids names them")


def test_uuids_in_the_environment_are_proof() -> None:
    gpus, attribution = attribute(VISIBLE, claim((), f"{TWO}, {ONE},{ONE}"))
    assert gpus == (VISIBLE[1], VISIBLE[0])
    assert attribution.how == "NVIDIA_VISIBLE_DEVICES"


def test_the_setting_stands_before_the_environment() -> None:
    assert claim((ONE,), TWO).uuids == (ONE,)


@pytest.mark.parametrize("value", [None, "", "all", "none", "void", "0", "0,1", f"{ONE},1"])
def test_anything_else_proves_nothing_and_withholds_every_gpu(value: str | None) -> None:
    gpus, attribution = attribute(VISIBLE, claim((), value))
    assert gpus is None
    assert attribution.how is None
    assert attribution.why is not None
    assert "--gpu-uuids" in attribution.why


def test_a_shared_gpu_is_withheld_since_its_load_is_also_the_neighbours() -> None:
    gpus, attribution = attribute(VISIBLE, claim((), f"{ONE}::3"))
    assert gpus is None
    assert attribution.why is not None
    assert "shared" in attribution.why


def test_a_proven_gpu_that_nvml_does_not_show_stays_without_figures() -> None:
    gpus, attribution = attribute(VISIBLE[:1], claim((ONE, TWO), None))
    assert gpus == (VISIBLE[0], GpuReading(uuid=TWO))
    assert attribution.why == f"the setting gpu-uuids names them; NVML does not show {TWO}"


def test_when_nvml_shows_none_of_the_proven_gpus_none_is_published() -> None:
    gpus, attribution = attribute(VISIBLE, Claim(uuids=("MIG-12345678-aaaa",), how="gpu-uuids"))
    assert gpus is None
    assert attribution == Attribution(
        why="NVML does not show MIG-12345678-aaaa (slices of a MIG-partitioned GPU are not read)"
    )
