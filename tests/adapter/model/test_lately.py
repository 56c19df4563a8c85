"""The last two hours of a demand can be gone through again, gaps as gaps."""

from __future__ import annotations

from adapter.model.lately import TICKS, Lately


def of(*ticks: int) -> Lately:
    found, before = Lately(), None
    for tick in ticks:
        found.add(tick, 10.0 * tick, before)
        before = tick
    return found


def test_each_tick_comes_with_its_demand_and_with_that_of_its_minute() -> None:
    assert list(of(5, 6, 7).until(7)) == [(5, 50, 50), (6, 60, 55), (7, 70, 65)]


def test_a_tick_that_was_missed_is_none() -> None:
    assert list(of(5, 7).until(7)) == [(5, 50, 50), (7, 70, 70)]


def test_no_more_than_two_hours_are_kept() -> None:
    found = [tick for tick, _, _ in of(*range(1000)).until(999)]
    assert (found[0], len(found)) == (1000 - TICKS, TICKS)


def test_after_a_break_it_begins_anew() -> None:
    found = of(*range(10))
    found.add(500, 1.0, None)
    assert list(found.until(500)) == [(500, 1, 1)]
