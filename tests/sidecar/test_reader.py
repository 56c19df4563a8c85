"""Owns the proof of what one reading says of all devices, and which calls it makes when."""

from __future__ import annotations

import pytest

from sidecar.reader import COUNTER_SECONDS, ENUMERATE_MIG_SECONDS, ENUMERATE_SECONDS
from tests.fakes.nvml import GPU_IS_LOST, H100_BYTES, NOT_SUPPORTED, FakeGpus
from tests.sidecar.nvmlsteps import steps

H100 = "NVIDIA H100 80GB HBM3"
GRAPHICS, SM, TENSOR, DRAM = 1, 2, 5, 10
RATES = "nvmlDeviceGetUtilizationRates"
POWER = "nvmlDeviceGetPowerUsage"
MEMORY = "nvmlDeviceGetMemoryInfo_v2"
MEMORY_V1 = "nvmlDeviceGetMemoryInfo"

EVERY = {RATES, MEMORY, POWER, "nvmlGpmSampleGet", "nvmlGpmMetricsGet"}
CLOCKS = {
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlEventSetWait_v2",
}
COUNTERS = {
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetRemappedRows",
}
WHICH = {
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetMigMode",
}


def test_it_reads_every_figure_of_every_gpu(gpus: FakeGpus) -> None:
    gpus.set(1, busy_percent=42, memory_used_bytes=10**9, memory_reserved_bytes=10**8)
    gpus.set(
        1,
        power_milliwatts=70_000,
        energy_millijoules=5_000_500,
        sm_clock_mhz=1755,
        clock_reasons=0x24,
    )
    gpus.set(1, ecc_uncorrected=2, remapped_rows=1)
    for metric, value in ((SM, 81.26), (TENSOR, 61.5), (DRAM, 30.0)):
        gpus.gpm(gpus.uuids[1], metric, value)
    with steps() as reader:
        reader.read(100.0)
        found = reader.gpus(102.0)
    assert list(found) == gpus.uuids
    assert found[gpus.uuids[1]] == {
        "uuid": gpus.uuids[1],
        "index": 1,
        "name": H100,
        "minor": 1,
        "busy_percent": 42.0,
        "memory_used_bytes": 10**9,  # without what the driver reserves
        "memory_total_bytes": H100_BYTES,
        "memory_free_bytes": H100_BYTES - 10**9 - 10**8,
        "power_watts": 70.0,
        "power_limit_watts": 700.0,
        "energy_joules_total": 5000.5,
        "sm_clock_mhz": 1755.0,
        "throttle": ["power_cap", "thermal"],
        "tensor_percent": 61.5,
        "dram_percent": 30.0,
        "sm_percent": 81.3,
        "ecc_uncorrected_total": 2,
        "remapped_rows_total": 1,
        "healthy": True,
    }


def test_slow_calls_are_made_on_slow_ticks_only(gpus: FakeGpus) -> None:
    gpus.gpm(gpus.uuids[0], TENSOR, 1.0)
    with steps() as reader:
        reader.read(100.0)
        reader.read(102.0)  # what is not supported was learned
        gpus.trace()
        made = {}
        for now in (104.0, 110.0, 130.0):
            reader.read(now)
            made[now] = {call for call in gpus.traced() if call != "nvmlGpmSampleAlloc"}
    assert made[104.0] == EVERY
    assert made[110.0] == EVERY | CLOCKS
    assert made[130.0] == EVERY | CLOCKS | COUNTERS | WHICH


def test_what_a_gpu_does_not_support_is_asked_once(gpus: FakeGpus) -> None:
    declined = (EVERY | CLOCKS | COUNTERS | {MEMORY_V1}) - {"nvmlEventSetWait_v2"}
    for call in declined:
        gpus.fail(call, NOT_SUPPORTED)
    with steps() as reader:
        first, second = reader.read(100.0), reader.read(102.0)
        gpus.trace()
        third = reader.read(200.0)
        made = set(gpus.traced())
    asked = {problem["call"] for problem in first["declined"] + second["declined"]}
    assert {RATES, POWER, MEMORY, *COUNTERS} <= asked
    assert third["declined"] == []
    assert made & declined == set()
    assert third["gpus"][0] == {
        "uuid": gpus.uuids[0],
        "index": 0,
        "name": H100,
        "minor": 0,
        "healthy": True,
    }


def test_one_declined_call_of_one_gpu_costs_that_figure_alone(gpus: FakeGpus) -> None:
    gpus.fail(POWER, 999, gpus.uuids[0])
    with steps() as reader:
        reader.read(100.0)
        reader.read(102.0)  # what is not supported was learned
        answer = reader.read(104.0)
    assert "power_watts" not in answer["gpus"][0]
    assert answer["gpus"][0]["busy_percent"] == 0.0
    assert answer["gpus"][1]["power_watts"] == 70.0
    assert answer["declined"] == [{"call": POWER, "code": 999, "name": "UNKNOWN"}]


def test_what_may_heal_is_asked_again(gpus: FakeGpus) -> None:
    gpus.fail(POWER, 10, gpus.uuids[0])
    with steps() as reader:
        assert "power_watts" not in reader.gpu(100.0)
        gpus.heal()
        assert reader.gpu(102.0)["power_watts"] == 70.0


def test_an_old_driver_without_the_second_memory_call_is_read_by_the_first(gpus: FakeGpus) -> None:
    gpus.set(0, memory_used_bytes=1000, memory_reserved_bytes=24)
    gpus.fail(MEMORY, 13)
    with steps() as reader:
        found = reader.gpu(100.0)
    assert (found["memory_used_bytes"], found["memory_total_bytes"]) == (1024, H100_BYTES)


def test_a_gpu_without_memory_of_its_own_has_none_to_tell(gpus: FakeGpus) -> None:
    gpus.set(0, memory_total_bytes=0)
    with steps() as reader:
        found = reader.gpu(100.0)
    assert [name for name in found if name.startswith("memory")] == []
    assert found["power_watts"] == 70.0


def test_a_lost_gpu_stays_in_the_list_without_figures_and_leaves_the_other(gpus: FakeGpus) -> None:
    with steps() as reader:
        reader.read(100.0)
        gpus.set(0, lost=True)
        lost, other = reader.read(102.0)["gpus"]
        later = reader.read(102.0 + ENUMERATE_SECONDS)["gpus"]
    said = "NVML lost this GPU (GPU_IS_LOST)"
    assert lost == {
        "uuid": gpus.uuids[0],
        "index": 0,
        "name": H100,
        "minor": 0,
        "healthy": False,
        "why": said,
    }
    assert other["busy_percent"] == 0.0
    assert lost in later


def test_a_gpu_that_is_lost_from_the_start_does_not_hide_the_other(gpus: FakeGpus) -> None:
    gpus.set(0, lost=True)
    with steps() as reader:
        answer = reader.read(100.0)
    assert [gpu["uuid"] for gpu in answer["gpus"]] == [gpus.uuids[1]]
    assert [problem["code"] for problem in answer["declined"]] == [GPU_IS_LOST]


def test_a_gpu_that_came_back_is_found_at_the_next_look_and_settles_anew(gpus: FakeGpus) -> None:
    with steps() as reader:
        reader.read(0.0)
        gpus.set(0, lost=True)
        reader.read(2.0)
        gpus.heal()
        soon, late, settled = reader.gpu(4.0), reader.gpu(31.0), reader.gpu(33.0)
    assert (soon["healthy"], late["healthy"]) == (False, True)
    assert "busy_percent" not in late
    assert settled["busy_percent"] == 0.0


def test_no_gpu_and_no_nvml_are_problems_of_the_whole(gpus: FakeGpus) -> None:
    gpus.fail("nvmlDeviceGetCount_v2", 1)
    with steps() as reader:
        assert reader.read(0.0)["problem"]["name"] == "UNINITIALIZED"
        gpus.heal()
        assert "gpus" in reader.read(1.0)
        gpus.gpus.clear()
        gpus.write()
        assert reader.read(1.0 + ENUMERATE_SECONDS)["problem"]["name"] == "NO_GPU"


def test_a_split_gpu_has_its_instances_figures_and_none_of_its_own_load(gpus: FakeGpus) -> None:
    first, second = gpus.split(0, (1, 0), (5, 0), used_bytes=10**9)
    gpus.set(0, busy_percent=90, memory_used_bytes=7 * 10**10)
    gpus.gpm(first, GRAPHICS, 55.0)
    gpus.gpm(first, TENSOR, 12.0)
    gpus.gpm(second, GRAPHICS, 5.0)
    with steps() as reader:
        reader.read(100.0)
        found = reader.gpus(102.0)
    assert found[first] == {
        "uuid": first,
        "name": H100,
        "mig": {"parent": gpus.uuids[0], "gpu_instance": 1, "compute_instance": 0},
        "busy_percent": 55.0,
        "tensor_percent": 12.0,
        "memory_used_bytes": 10**9,
        "memory_total_bytes": H100_BYTES // 8,
        "memory_free_bytes": H100_BYTES // 8 - 10**9,
        "healthy": True,
    }
    assert found[second]["busy_percent"] == 5.0
    assert "tensor_percent" not in found[second]
    whole = found[gpus.uuids[0]]
    assert whole["power_watts"] == 637.0
    assert {"busy_percent", "tensor_percent", "memory_used_bytes"}.isdisjoint(whole)
    assert found[gpus.uuids[1]]["busy_percent"] == 0.0


def test_without_gpm_an_instance_has_memory_and_no_load(gpus: FakeGpus) -> None:
    (uuid,) = gpus.split(0, (1, 0), used_bytes=10**9)
    gpus.set(0, busy_percent=90)
    with steps() as reader:
        reader.read(100.0)
        found = reader.gpus(102.0)[uuid]
    assert "busy_percent" not in found
    assert found["memory_used_bytes"] == 10**9


def test_compute_instances_of_one_gpu_instance_are_shared(gpus: FakeGpus) -> None:
    first, second, alone = gpus.split(0, (1, 0), (1, 1), (2, 0))
    with steps() as reader:
        found = reader.gpus(100.0)
    assert [found[uuid].get("shared", False) for uuid in (first, second, alone)] == [
        True,
        True,
        False,
    ]


def test_an_instance_becomes_shared_when_another_computes_beside_it(gpus: FakeGpus) -> None:
    (first,) = gpus.split(0, (1, 0))
    with steps() as reader:
        assert "shared" not in reader.gpus(100.0)[first]
        gpus.split(0, (1, 1))
        assert reader.gpus(100.0 + ENUMERATE_MIG_SECONDS)[first]["shared"] is True


def test_instances_go_and_come_with_the_next_look(gpus: FakeGpus) -> None:
    first, second = gpus.split(0, (1, 0), (2, 0), used_bytes=10**9)
    with steps() as reader:
        reader.read(100.0)
        gpus.destroy(first)
        gone = reader.gpus(102.0)[first]
        (new,) = gpus.split(0, (3, 0), used_bytes=10**9)
        found = reader.gpus(100.0 + ENUMERATE_MIG_SECONDS)
    assert "memory_used_bytes" not in gone
    assert first not in found
    assert {second, new} < set(found)


def test_a_gpu_that_leaves_mig_mode_is_read_whole_again(gpus: FakeGpus) -> None:
    (uuid,) = gpus.split(0, (1, 0))
    with steps() as reader:
        assert uuid in reader.gpus(100.0)
        gpus.destroy(uuid)
        gpus.set(0, mig=False, busy_percent=33)
        reader.read(110.0)
        found = reader.gpus(112.0)
    assert uuid not in found
    assert found[gpus.uuids[0]]["busy_percent"] == 33.0


def test_a_lost_gpu_takes_its_instances_figures_with_it(gpus: FakeGpus) -> None:
    (uuid,) = gpus.split(0, (1, 0), used_bytes=10**9)
    with steps() as reader:
        reader.read(100.0)
        gpus.set(0, lost=True)
        soon = reader.gpus(102.0)
        late = reader.gpus(102.0 + ENUMERATE_SECONDS)
    for found in (soon, late):
        assert found[uuid]["healthy"] is False
        assert "memory_used_bytes" not in found[uuid]
        assert found[gpus.uuids[0]]["healthy"] is False
    assert late[gpus.uuids[1]]["busy_percent"] == 0.0


@pytest.mark.parametrize("call", [RATES, MEMORY, POWER, "nvmlDeviceGetMigMode"])
def test_slow_figures_are_held_between_their_ticks(gpus: FakeGpus, call: str) -> None:
    gpus.set(0, energy_millijoules=1000)
    with steps() as reader:
        reader.read(100.0)
        gpus.set(0, energy_millijoules=9000)
        gpus.fail(call, 999)
        assert reader.gpu(102.0)["energy_joules_total"] == 1.0
        assert reader.gpu(100.0 + COUNTER_SECONDS)["energy_joules_total"] == 9.0
