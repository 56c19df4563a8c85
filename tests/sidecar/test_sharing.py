"""Owns the proof that a neighbour's load is not published unless that was asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.sharing import WITHHELD, SharedGpu, withheld
from sidecar.wire import GpuReading, MigInstance

OWN = GpuReading("GPU-1", busy_percent=80.0, healthy=True)
PLACE = MigInstance("GPU-2", 1, 0)
SHARED = GpuReading("MIG-2", busy_percent=90.0, power_watts=1.0, mig=PLACE, shared=True)


def test_a_pod_whose_gpus_are_all_shared_has_none() -> None:
    assert withheld((SHARED,), SharedGpu.WITHHOLD) is None


def test_of_a_shared_one_beside_its_own_only_place_and_health_are_told() -> None:
    own, shared = withheld((OWN, SHARED), SharedGpu.WITHHOLD) or ()
    assert own == OWN
    assert shared == GpuReading("MIG-2", why=WITHHELD, mig=PLACE, shared=True)


def test_allowed_they_are_told_and_stay_marked() -> None:
    assert withheld((OWN, SHARED), SharedGpu.ALLOW) == (OWN, SHARED)


@given(st.lists(st.booleans(), max_size=8))
def test_no_load_of_a_shared_gpu_gets_through(shared: list[bool]) -> None:
    gpus = tuple(
        GpuReading(str(n), 50.0, 1, 2, 3.0, tensor_percent=4.0, shared=is_shared)
        for n, is_shared in enumerate(shared)
    )
    for gpu in withheld(gpus, SharedGpu.WITHHOLD) or ():
        figures = (gpu.busy_percent, gpu.memory_used_bytes, gpu.power_watts, gpu.tensor_percent)
        assert (set(figures) == {None}) == gpu.shared
