"""Owns the proof that the backlog holds whole steps, oldest first, unknown where nothing was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.ring import STEP_SECONDS, STEPS, Ring


def test_there_is_no_backlog_before_the_first_step_ended() -> None:
    ring = Ring(100.0)
    ring.add(101.0, {"pending": 4.0})
    assert ring.backlog(109.9) is None


def test_a_step_is_the_mean_of_its_ticks_and_the_age_is_that_of_its_end() -> None:
    ring = Ring(100.0)
    for second, pending in enumerate((1.0, 2.0, 6.0)):
        ring.add(100.0 + second, {"pending": pending})
    found = ring.backlog(111.5)
    assert found is not None
    assert found.series == {"pending": (3.0,)}
    assert found.age_seconds == 1.5


def test_a_counter_stands_for_the_middle_of_its_step() -> None:
    ring = Ring(100.0)
    for second in range(20):
        ring.add(100.5 + second, {"finished_total": 10.0 * (second + 0.5)})
    found = ring.backlog(120.6)
    assert found is not None
    assert found.series == {"finished_total": (50.0, 150.0)}


def test_a_step_without_a_level_is_unknown_and_not_zero() -> None:
    ring = Ring(0.0)
    ring.add(1.0, {"pending": 1.0})
    ring.add(11.0, {"gpu_busy_percent": 50.0})
    ring.add(31.0, {"pending": 2.0})
    found = ring.backlog(41.0)
    assert found is not None
    assert found.series == {
        "gpu_busy_percent": (None, 50.0, None, None),
        "pending": (1.0, None, None, 2.0),
    }


def test_only_the_last_fifteen_minutes_are_kept() -> None:
    ring = Ring(0.0)
    for second in range(2000):
        ring.add(float(second), {"pending": float(second // 10)})
    found = ring.backlog(2000.0)
    assert found is not None
    assert len(found.series["pending"]) == STEPS == 90
    assert found.series["pending"][-1] == 199.0


def test_after_a_long_pause_everything_before_is_unknown() -> None:
    ring = Ring(0.0)
    ring.add(1.0, {"pending": 7.0})
    found = ring.backlog(1_000_000.0)
    assert found is not None
    assert found.series == {}


@given(st.lists(st.floats(0.0, 500.0), max_size=50))
def test_every_column_has_the_same_length_and_the_age_is_within_a_step(gaps: list[float]) -> None:
    ring, now = Ring(0.0), 0.0
    for gap in gaps:
        now += gap
        ring.add(now, {"pending": 1.0, "running": 2.0})
    found = ring.backlog(now)
    if found is not None:
        assert len({len(column) for column in found.series.values()}) <= 1
        assert 0.0 <= found.age_seconds <= STEP_SECONDS
