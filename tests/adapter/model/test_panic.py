"""A burst is held for the whole horizon; noise and steady demand are none."""

from __future__ import annotations

from adapter.model.panic import Panic

SIGMA = 0.05


def fed(*levels: tuple[float, int], step: float = 5.0) -> tuple[Panic, float]:
    """Readings of these levels, so many of each."""
    panic, now = Panic(), 0.0
    for level, count in levels:
        for _ in range(count):
            now += step
            panic.add(now, level, SIGMA)
    return panic, now


def test_a_steady_demand_is_no_burst() -> None:
    panic, now = fed((100.0, 60))
    assert panic.held(now, 600.0) == 0.0


def test_a_burst_is_held_after_it_has_passed() -> None:
    panic, now = fed((100.0, 60), (300.0, 4), (100.0, 20))
    assert panic.held(now, 600.0) == 300.0


def test_it_is_let_go_when_the_pods_that_it_asked_for_would_serve() -> None:
    panic, now = fed((100.0, 60), (300.0, 4), (100.0, 20))
    assert panic.held(now + 700.0, 600.0) == 0.0
    assert panic.held(now + 700.0, 600.0) == 0.0


def test_a_short_horizon_holds_it_for_a_minute() -> None:
    panic, now = fed((100.0, 60), (300.0, 4))
    assert panic.held(now + 50.0, 15.0) == 300.0
    assert panic.held(now + 90.0, 15.0) == 0.0


def test_a_demand_that_always_jumps_so_is_no_burst() -> None:
    panic = Panic()
    for n in range(200):
        panic.add(5.0 * n, 300.0 if n % 12 == 0 else 100.0, 0.5)
    assert panic.held(1_000.0, 600.0) == 0.0


def test_from_nothing_at_all_there_is_no_ratio_to_speak_of() -> None:
    panic, now = fed((0.0, 60))
    assert panic.held(now, 600.0) == 0.0


def test_after_a_silence_the_first_reading_is_no_burst() -> None:
    panic, now = fed((100.0, 60))
    panic.add(now + 3_600.0, 400.0, SIGMA)
    assert panic.held(now + 3_600.0, 600.0) == 0.0
