"""Owns the proof of how fast memory fills, and of when running out of it is near."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.headroom import LEAST_SECONDS, WINDOW_SECONDS, Headroom
from sidecar.wire import EngineReading, EngineState, GpuReading, Oom

GB = 10**9
FAR = Oom(near=False)


def gpu(used_gb: float | None, uuid: str = "GPU-1") -> GpuReading:
    if used_gb is None:
        return GpuReading(uuid)
    used = int(used_gb * GB)
    return GpuReading(
        uuid,
        memory_used_bytes=used,
        memory_total_bytes=80 * GB,
        memory_free_bytes=79 * GB - used,
    )


def engine(
    kv: float | None = None, preempted: float | None = None, pending: float = 0.0
) -> EngineReading:
    return EngineReading(
        "vllm", EngineState.READY, pending=pending, kv_percent=kv, preemptions_total=preempted
    )


def growth(*used_gb: float | None) -> float | None:
    """Return the growth after these readings, two seconds apart."""
    headroom, found = Headroom(), GpuReading("none")
    for tick, used in enumerate(used_gb):
        (found,) = headroom.grown((gpu(used),), 2.0 * tick)
    return found.memory_growth_bytes_per_second


def near(*ticks: tuple[float | None, EngineReading | None], seconds: float = 2.0) -> Oom | None:
    """Return the outlook after these ticks of used memory and engine."""
    headroom, found = Headroom(), None
    for tick, (used, served) in enumerate(ticks):
        gpus = headroom.grown((gpu(used),), seconds * tick)
        found = headroom.outlook(gpus, served, seconds * tick)
    return found


def test_growth_is_the_change_over_the_time() -> None:
    assert growth(10, 11, 12, 13, 14) == 0.5 * GB
    assert growth(14, 13, 12, 11, 10) == -0.5 * GB
    assert growth(10, 10, 10, 10, 10) == 0.0


def test_growth_is_not_known_of_one_moment_or_after_a_gap() -> None:
    assert growth(10) is None
    assert growth(10, 50, 50) is None  # shorter than any trend
    assert growth(10, 11, 12, 13, 14, None) is None
    assert growth(10, 11, 12, 13, 14, None, 15) is None


def test_growth_forgets_what_is_older_than_its_window() -> None:
    steps = int(WINDOW_SECONDS / 2) + 1
    assert growth(0, 40, *([40] * steps)) == 0.0


def test_a_server_that_took_all_memory_at_its_start_is_not_near_by_that() -> None:
    assert near(*[(77.0, engine(kv=50, preempted=0))] * 10) == FAR


def test_a_full_kv_cache_with_requests_that_wait_is_near() -> None:
    assert near((72.0, engine(kv=97, pending=3))) == Oom(
        near=True, why="the KV cache is 97 % full and requests wait"
    )
    assert near((72.0, engine(kv=97))) == FAR
    assert near((72.0, engine(kv=94, pending=30))) == FAR


def test_preemptions_are_near_for_a_minute() -> None:
    quiet, struck = engine(kv=50, preempted=4), engine(kv=50, preempted=7)
    said = Oom(near=True, why="3 requests were preempted within 60 s")
    assert near((72.0, quiet), (72.0, struck)) == said
    assert near((72.0, quiet), *[(72.0, struck)] * 30) == said
    assert near((72.0, quiet), *[(72.0, struck)] * 32) == FAR


def test_preemptions_of_the_past_or_before_a_restart_are_none() -> None:
    assert near((72.0, engine(preempted=400))) == FAR
    assert near((72.0, engine(preempted=400)), (72.0, engine(preempted=0))) == FAR
    down = EngineReading("vllm", EngineState.FAILING)
    assert near((72.0, engine(preempted=4)), (72.0, down), (72.0, engine(preempted=9))) == FAR


def test_device_memory_that_fills_within_a_minute_is_near() -> None:
    filling = [(70.0 + tick, engine()) for tick in range(7)]
    assert near(*filling) == Oom(near=True, why="the memory of GPU-1 is full within a minute")
    assert near(*[(used - 20, served) for used, served in filling]) == FAR  # it may stop yet
    assert near(*[(76.0 + 0.001 * tick, engine()) for tick in range(7)]) == FAR


def test_where_nothing_tells_it_is_not_known() -> None:
    assert near((None, None)) is None
    assert near((None, EngineReading("x", EngineState.LOADING, kv_percent=99.0))) is None
    assert near((None, engine(kv=10))) == FAR


def test_each_gpu_has_its_own_memory_of_the_past() -> None:
    headroom = Headroom()
    for tick in range(6):
        first, second = headroom.grown((gpu(10), gpu(10 + tick, "GPU-2")), 2.0 * tick)
    assert first.memory_growth_bytes_per_second == 0.0
    assert second.memory_growth_bytes_per_second == 0.5 * GB


@pytest.mark.parametrize("seconds", [1.0, 10.0, 59.0])
def test_growth_is_told_at_every_period_that_can_be_set(seconds: float) -> None:
    headroom = Headroom()
    for tick in range(12):
        (found,) = headroom.grown((gpu(10 + tick),), seconds * tick)
    assert found.memory_growth_bytes_per_second == pytest.approx(GB / seconds, rel=0.01)


@given(st.lists(st.none() | st.floats(0, 79), min_size=1, max_size=40))
def test_growth_lies_between_the_steepest_steps(used_gb: list[float | None]) -> None:
    found = growth(*used_gb)
    known = [used for used in used_gb if used is not None]
    if found is not None:
        assert abs(found) <= (max(known) - min(known)) * GB / LEAST_SECONDS + 1
