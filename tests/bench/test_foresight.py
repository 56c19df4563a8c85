"""A step counts as unforeseeable only where neither the last hour nor a day before speaks of it."""

from __future__ import annotations

import numpy as np

from bench.foresight import unforeseeable_minutes, unheard_of_minutes
from tests.adapter.replay.worlds import trace

HOUR = 60  # steps of a minute, each split into parts by the trace's grid
DAY = 24 * HOUR


def minutes(rates: list[float], unknown: range = range(0)) -> int:
    steps = [rate for rate in rates for _ in range(12)]
    hidden = [step for at in unknown for step in range(12 * at, 12 * at + 12)]
    return unforeseeable_minutes(trace(steps, unknown=hidden), 600.0, 3_600.0)


def test_a_steady_rise_is_foreseeable() -> None:
    assert minutes([10.0 + at / 10 for at in range(5 * HOUR)]) == 0


def test_a_leap_to_three_times_the_hour_is_not_until_it_has_been_seen() -> None:
    assert minutes([10.0] * (3 * HOUR) + [30.0] * HOUR) == 11  # until it is a cold start old


def test_the_rush_of_the_day_before_makes_it_foreseeable() -> None:
    day = [10.0] * (12 * HOUR) + [30.0] * HOUR + [10.0] * (11 * HOUR)
    assert minutes(day) > 0
    assert minutes([*day, *day]) == minutes(day)


def test_what_is_not_known_is_no_leap() -> None:
    rates = [10.0] * (3 * HOUR) + [30.0] * HOUR
    assert minutes(rates, unknown=range(3 * HOUR, 4 * HOUR)) == 0


def test_more_than_three_times_the_week_is_unheard_of_until_it_has_been_seen() -> None:
    steps = [10.0] * (3 * HOUR * 12) + [31.0] * (HOUR * 12)
    assert unheard_of_minutes(trace(steps), 600.0, 3_600.0) == 11
    earlier = [10.0] * (HOUR * 12) + [31.0] * 12 + steps
    assert unheard_of_minutes(trace(earlier), 600.0, 2 * 3_600.0) == 0
    assert unforeseeable_minutes(trace(earlier), 600.0, 2 * 3_600.0) == 11


def test_what_is_unheard_of_is_unforeseeable_too() -> None:
    dice = np.random.default_rng(1)
    for _ in range(3):
        steps = np.repeat(np.exp(1.2 * dice.standard_normal(26 * HOUR)), 12).tolist()
        rare = unheard_of_minutes(trace(steps), 600.0, 3_600.0)
        assert 0 <= rare <= unforeseeable_minutes(trace(steps), 600.0, 3_600.0)
    assert unforeseeable_minutes(trace(steps), 600.0, 3_600.0) > 0
