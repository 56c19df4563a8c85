"""Owns the proof of when NVML's 100 percent is not believed: two witnesses, half a minute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from sidecar.stuck import STUCK_SECONDS, WHY, Stuck
from sidecar.wire import EngineReading, EngineState, GpuReading

IDLE = EngineReading("vllm", EngineState.READY, pending=0.0, running=0.0)
BUSY = EngineReading("vllm", EngineState.READY, pending=0.0, running=3.0)
LATCHED = GpuReading("GPU-1", busy_percent=100.0, power_watts=75.0, power_limit_watts=700.0)


def after(gpu: GpuReading, engine: EngineReading | None, seconds: float) -> GpuReading:
    """Return the GPU as it is judged when it has looked so for this long."""
    stuck = Stuck()
    stuck.judge((gpu,), engine, 0.0)
    (found,) = stuck.judge((gpu,), engine, seconds)
    return found


def test_a_full_gpu_at_idle_power_that_serves_nothing_is_stuck_and_its_figure_left_out() -> None:
    found = after(LATCHED, IDLE, STUCK_SECONDS)
    assert (found.busy_percent, found.stuck) == (None, True)
    assert found.why == WHY
    assert found.power_watts == 75.0


def test_it_is_believed_until_it_has_lasted() -> None:
    assert after(LATCHED, IDLE, STUCK_SECONDS - 1) == LATCHED


@pytest.mark.parametrize(
    ("gpu", "engine"),
    [
        (structs.replace(LATCHED, busy_percent=98.0), IDLE),
        (structs.replace(LATCHED, busy_percent=None), IDLE),
        (structs.replace(LATCHED, power_watts=400.0), IDLE),
        (structs.replace(LATCHED, power_watts=None), IDLE),
        (structs.replace(LATCHED, power_limit_watts=None), IDLE),
        (structs.replace(LATCHED, sm_percent=60.0), IDLE),  # GPM has seen the work
        (LATCHED, BUSY),
        (LATCHED, structs.replace(IDLE, pending=2.0)),
        (LATCHED, structs.replace(IDLE, running=None)),
        (LATCHED, structs.replace(IDLE, state=EngineState.LOADING)),
        (LATCHED, None),
    ],
)
def test_without_both_witnesses_nvml_is_believed(
    gpu: GpuReading, engine: EngineReading | None
) -> None:
    assert after(gpu, engine, 10 * STUCK_SECONDS) == gpu


def test_gpm_alone_is_witness_enough_beside_the_power() -> None:
    assert after(structs.replace(LATCHED, sm_percent=0.1), None, STUCK_SECONDS).stuck


def test_a_moment_of_work_starts_the_time_anew() -> None:
    stuck = Stuck()
    stuck.judge((LATCHED,), IDLE, 0.0)
    stuck.judge((LATCHED,), BUSY, STUCK_SECONDS - 1)
    assert stuck.judge((LATCHED,), IDLE, STUCK_SECONDS) == (LATCHED,)


def test_one_stuck_gpu_leaves_the_other_and_heals() -> None:
    stuck = Stuck()
    other = structs.replace(LATCHED, uuid="GPU-2", power_watts=500.0)
    stuck.judge((LATCHED, other), IDLE, 0.0)
    first, second = stuck.judge((LATCHED, other), IDLE, STUCK_SECONDS)
    assert (first.stuck, second) == (True, other)
    healed = structs.replace(LATCHED, busy_percent=0.0)
    assert stuck.judge((healed, other), IDLE, STUCK_SECONDS + 2) == (healed, other)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 700)), min_size=1, max_size=20))
def test_it_never_invents_a_figure(readings: list[tuple[float, float]]) -> None:
    stuck = Stuck()
    for tick, (percent, watts) in enumerate(readings):
        told = structs.replace(LATCHED, busy_percent=percent, power_watts=watts)
        (found,) = stuck.judge((told,), IDLE, 2.0 * tick)
        assert found.busy_percent in (percent, None)
        assert (found.busy_percent is None) == found.stuck
