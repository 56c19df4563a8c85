"""A workload's cold starts and GPU figures are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.replay.workload import ColdStart, GpuModel, Workload


def test_half_of_the_starts_are_done_at_the_median_and_nine_tenths_at_p90() -> None:
    cold = ColdStart(100.0, 300.0)
    drawn = cold.draw(np.random.default_rng(1), 20_000)
    assert np.median(drawn) == pytest.approx(100.0, rel=0.03)
    assert np.quantile(drawn, 0.9) == pytest.approx(300.0, rel=0.05)
    assert drawn.min() >= cold.least_seconds
    assert cold.usual_seconds == 300.0


def test_one_time_is_always_that_time() -> None:
    cold = ColdStart(60.0, 60.0)
    assert set(cold.draw(np.random.default_rng(1), 9).tolist()) == {60.0}
    assert cold.least_seconds == 60.0


def test_no_cold_start_at_all_is_possible() -> None:
    cold = ColdStart(0.0, 0.0)
    assert set(cold.draw(np.random.default_rng(1), 9).tolist()) == {0.0}


def test_given_samples_are_drawn_from() -> None:
    cold = ColdStart(samples=(10.0, 20.0, 90.0))
    assert set(cold.draw(np.random.default_rng(1), 99).tolist()) == {10.0, 20.0, 90.0}
    assert (cold.least_seconds, cold.usual_seconds) == (10.0, 90.0)


def test_a_request_is_in_service_as_long_as_rate_and_concurrency_say() -> None:
    assert Workload(2.0, concurrency=16.0).service_seconds == 8.0


def test_nvml_is_busy_long_before_a_batching_server_is_full() -> None:
    by_load = Workload(1.0, concurrency=16.0)
    assert by_load.gpu_percent(4.0) == 25.0
    assert by_load.gpu_percent(17.0) == 100.0
    by_time = Workload(1.0, concurrency=16.0, gpu=GpuModel.BUSY)
    assert by_time.gpu_percent(4.0) == pytest.approx(98.2, abs=0.1)
    assert by_time.gpu_percent(0.0) == 0.0
