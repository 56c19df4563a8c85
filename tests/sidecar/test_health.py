"""Owns the proof of when a GPU counts as healthy, and how long a fault lasts."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.health import FAULT_SECONDS, PROGRAM_XIDS
from tests.fakes.nvml import NOT_SUPPORTED, FakeGpus
from tests.sidecar.nvmlsteps import Steps, steps

LOOK_SECONDS = 30.0


def verdict(reader: Steps, now: float, index: int = 0) -> tuple[bool | None, Any]:
    found = reader.gpu(now, index)
    return found.get("healthy"), found.get("why")


def test_a_gpu_that_reports_no_fault_is_healthy(gpus: FakeGpus) -> None:
    assert gpus.uuids
    with steps() as reader:
        assert verdict(reader, 100.0) == (True, None)


def test_new_uncorrected_memory_errors_are_a_fault_for_a_while_and_old_ones_none(
    gpus: FakeGpus,
) -> None:
    gpus.set(0, ecc_uncorrected=5)
    with steps() as reader:
        assert verdict(reader, 100.0) == (True, None)
        gpus.set(0, ecc_uncorrected=7)
        assert verdict(reader, 102.0) == (True, None)  # not looked at yet
        at = 100.0 + LOOK_SECONDS
        assert verdict(reader, at) == (False, "2 uncorrected memory errors (ECC)")
        assert verdict(reader, at, index=1) == (True, None)
        assert verdict(reader, at + FAULT_SECONDS - 1)[0] is False
        assert verdict(reader, at + FAULT_SECONDS) == (True, None)


def test_a_counter_that_starts_anew_with_the_driver_is_no_fault(gpus: FakeGpus) -> None:
    gpus.set(0, ecc_uncorrected=5)
    with steps() as reader:
        reader.read(100.0)
        gpus.set(0, ecc_uncorrected=1)
        assert verdict(reader, 100.0 + LOOK_SECONDS) == (True, None)


def test_a_row_that_could_not_be_remapped_is_a_fault_that_stays(gpus: FakeGpus) -> None:
    gpus.set(0, remap_failed=True)
    with steps() as reader:
        for now in (100.0, 100.0 + 2 * FAULT_SECONDS):
            assert verdict(reader, now) == (False, "a row of its memory could not be remapped")


def test_a_look_that_failed_does_not_heal_a_fault_that_stays(gpus: FakeGpus) -> None:
    gpus.set(0, remap_failed=True)
    with steps() as reader:
        reader.read(100.0)
        gpus.fail("nvmlDeviceGetRemappedRows", 10)
        assert verdict(reader, 100.0 + LOOK_SECONDS)[0] is False


def test_a_remapping_that_waits_for_a_reset_is_said_and_no_fault(gpus: FakeGpus) -> None:
    gpus.set(0, remap_pending=True)
    with steps() as reader:
        said = "a remapped row of its memory waits for a reset"
        assert verdict(reader, 100.0) == (True, said)


def test_an_xid_of_the_gpu_is_a_fault_of_that_gpu_for_a_while(gpus: FakeGpus) -> None:
    with steps() as reader:
        reader.read(100.0)
        gpus.xid(gpus.uuids[0], 79)
        assert verdict(reader, 110.0) == (False, "the driver reported XID 79")
        assert verdict(reader, 110.0, index=1) == (True, None)
        assert verdict(reader, 110.0 + FAULT_SECONDS) == (True, None)  # it is told once


@pytest.mark.parametrize("code", sorted(PROGRAM_XIDS))
def test_an_xid_of_a_program_is_no_fault_of_the_gpu(gpus: FakeGpus, code: int) -> None:
    with steps() as reader:
        reader.read(100.0)
        gpus.xid(gpus.uuids[0], code)
        assert verdict(reader, 110.0) == (True, None)


def test_a_storm_of_xids_costs_no_reading(gpus: FakeGpus) -> None:
    with steps() as reader:
        reader.read(100.0)
        for _ in range(60):
            gpus.xid(gpus.uuids[0], 74)
        assert verdict(reader, 110.0)[0] is False
        assert reader.gpu(112.0)["busy_percent"] == 0.0


def test_where_nothing_ever_tells_of_faults_health_is_not_known(gpus: FakeGpus) -> None:
    for call in (
        "nvmlDeviceRegisterEvents",
        "nvmlDeviceGetTotalEccErrors",
        "nvmlDeviceGetRemappedRows",
    ):
        gpus.fail(call, NOT_SUPPORTED)
    with steps() as reader:
        assert verdict(reader, 100.0) == (None, None)


def test_without_an_event_set_the_counters_still_tell(gpus: FakeGpus) -> None:
    gpus.fail("nvmlEventSetCreate", 999)
    gpus.set(0, remap_failed=True)
    with steps() as reader:
        assert verdict(reader, 100.0)[0] is False
        assert verdict(reader, 110.0, index=1) == (True, None)


def test_an_instance_has_the_health_of_its_gpu_also_after_that_came_back(gpus: FakeGpus) -> None:
    (uuid,) = gpus.split(0, (1, 0))
    with steps() as reader:
        assert reader.gpus(100.0)[uuid]["healthy"] is True
        gpus.set(0, lost=True)
        assert reader.gpus(110.0)[uuid]["healthy"] is False
        gpus.set(0, lost=False)
        assert reader.gpus(140.0)[uuid]["healthy"] is True
        gpus.xid(gpus.uuids[0], 79)
        assert reader.gpus(150.0)[uuid]["why"] == "the driver reported XID 79"
