"""Owns the proof of utilisation and activity: what counts, over which time, and what is junk."""

from __future__ import annotations

import pytest

from sidecar.activity import LEAST_SECONDS, SETTLE_SECONDS
from tests.fakes.nvml import FakeGpus
from tests.sidecar.nvmlsteps import steps

RATES = "nvmlDeviceGetUtilizationRates"
GRAPHICS, SM, TENSOR, DRAM = 1, 2, 5, 10
SECOND_US = 1_000_000


def ring(gpus: FakeGpus, first_us: int, *percents: int) -> None:
    """Let the driver have noted these, six a second, from a time on."""
    for place, percent in enumerate(percents):
        gpus.sample(gpus.uuids[0], first_us + place * SECOND_US // 6, percent)


def test_utilisation_right_after_attaching_is_not_the_workloads(gpus: FakeGpus) -> None:
    gpus.set(0, busy_percent=100)
    with steps() as reader:
        first = reader.gpu(100.0)
        assert "busy_percent" not in first
        assert first["power_watts"] == 700.0
        assert reader.gpu(100.0 + SETTLE_SECONDS)["busy_percent"] == 100.0


def test_utilisation_is_the_mean_of_the_drivers_samples_since_the_last_reading(
    gpus: FakeGpus,
) -> None:
    gpus.set(0, busy_percent=7)
    ring(gpus, 1 * SECOND_US, 100, 100, 100)
    with steps() as reader:
        reader.read(100.0)
        # How far back the ring goes at first is not known: it only says where to begin.
        assert reader.gpu(102.0)["busy_percent"] == 7.0
        ring(gpus, 3 * SECOND_US, 0, 100, 50, 0)
        assert reader.gpu(104.0)["busy_percent"] == 37.5
        ring(gpus, 5 * SECOND_US, 10)
        assert reader.gpu(106.0)["busy_percent"] == 10.0


def test_without_a_new_sample_utilisation_is_the_drivers_last_one(gpus: FakeGpus) -> None:
    gpus.set(0, busy_percent=7)
    ring(gpus, 1 * SECOND_US, 90)
    with steps() as reader:
        reader.read(100.0)
        reader.read(102.0)
        assert reader.gpu(104.0)["busy_percent"] == 7.0
        ring(gpus, 3 * SECOND_US, 40)
        assert reader.gpu(106.0)["busy_percent"] == 7.0  # the ring is taken anew
        ring(gpus, 5 * SECOND_US, 60)
        assert reader.gpu(108.0)["busy_percent"] == 60.0


def test_a_sample_over_100_is_junk_and_the_others_count(gpus: FakeGpus) -> None:
    ring(gpus, 1 * SECOND_US, 0)
    with steps() as reader:
        reader.read(100.0)
        reader.read(102.0)
        ring(gpus, 3 * SECOND_US, 30, 4_000_000, 50)
        assert reader.gpu(104.0)["busy_percent"] == 40.0


def test_a_percentage_over_100_is_junk_and_absent(gpus: FakeGpus) -> None:
    gpus.set(0, busy_percent=250)
    with steps() as reader:
        reader.read(100.0)
        assert "busy_percent" not in reader.gpu(102.0)


def test_activity_needs_two_samples_and_says_what_was_between_them(gpus: FakeGpus) -> None:
    gpus.gpm(gpus.uuids[0], TENSOR, 61.5)
    with steps() as reader:
        assert "tensor_percent" not in reader.gpu(100.0)
        assert reader.gpu(102.0)["tensor_percent"] == 61.5
        gpus.gpm(gpus.uuids[0], TENSOR, 3.25)
        assert reader.gpu(104.0)["tensor_percent"] == 3.2


def test_a_gpu_before_hopper_has_no_activity_and_is_not_asked_again(gpus: FakeGpus) -> None:
    gpus.gpm(gpus.uuids[1], TENSOR, 10.0)
    with steps() as reader:
        reader.read(100.0)
        old, new = reader.read(102.0)["gpus"]
        gpus.trace()
        reader.read(104.0)
        assert "nvmlGpmQueryDeviceSupport" not in gpus.traced()
    assert {"tensor_percent", "dram_percent", "sm_percent"}.isdisjoint(old)
    assert new["tensor_percent"] == 10.0


def test_samples_that_are_too_close_are_not_compared(gpus: FakeGpus) -> None:
    gpus.gpm(gpus.uuids[0], TENSOR, 61.5)
    with steps() as reader:
        reader.read(100.0)
        assert "tensor_percent" not in reader.gpu(100.0 + LEAST_SECONDS / 2)
        assert reader.gpu(102.0)["tensor_percent"] == 61.5


@pytest.mark.parametrize(
    ("told", "found"),
    [("nan", None), ("inf", None), (-1.0, None), (250.0, None), (100.4, 100.0), (0.0, 0.0)],
)
def test_an_activity_that_is_no_percentage_is_absent_and_the_others_stay(
    gpus: FakeGpus, told: float | str, found: float | None
) -> None:
    gpus.gpm(gpus.uuids[0], TENSOR, float(told))
    gpus.gpm(gpus.uuids[0], DRAM, 20.0)
    with steps() as reader:
        reader.read(100.0)
        gpu = reader.gpu(102.0)
    assert gpu.get("tensor_percent") == found
    assert gpu["dram_percent"] == 20.0


def test_a_sample_that_failed_makes_the_next_span_longer(gpus: FakeGpus) -> None:
    gpus.gpm(gpus.uuids[0], TENSOR, 61.5)
    with steps() as reader:
        reader.read(100.0)
        gpus.fail("nvmlGpmSampleGet", 10)
        failed = reader.gpu(102.0)
        gpus.heal()
        healed = reader.gpu(104.0)
    assert "tensor_percent" not in failed
    assert failed["busy_percent"] == 0.0
    assert healed["tensor_percent"] == 61.5


def test_an_argument_that_gpm_refuses_does_not_cost_the_handle(gpus: FakeGpus) -> None:
    gpus.gpm(gpus.uuids[0], TENSOR, 61.5)
    gpus.fail("nvmlGpmMetricsGet", 2)
    with steps() as reader:
        reader.read(100.0)
        found = reader.gpu(102.0)
    assert found["busy_percent"] == 0.0
    assert found["healthy"] is True
