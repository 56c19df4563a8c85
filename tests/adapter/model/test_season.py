"""A season is what the last days were at that time, and unknown before there was one."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.model.season import Season

DAY = 86_400.0
STEP = 300.0


def taught(*days: float, until: float = DAY, hours: float | None = None) -> Season:
    """Days of one level each, with twice as much from noon to one; the last one up to `until`."""
    season = Season()
    for number, level in enumerate(days):
        end = until if number == len(days) - 1 else DAY
        for at in np.arange(0.0, end, STEP):
            noon = 12 <= at / 3600 < 13
            if hours is None or at / 3600 < hours:
                season.add(number * DAY + at, level * (2.0 if noon else 1.0))
    return season


def at(season: Season, *hours: float) -> list[float]:
    return season.at(np.array(hours) * 3600).tolist()


def test_before_a_day_has_passed_only_past_times_of_it_are_known() -> None:
    found = at(taught(10.0, until=DAY / 4), 3.0, 9.0)
    assert found[0] == pytest.approx(10.0)
    assert np.isnan(found[1])


def test_the_day_before_tells_how_the_day_goes_on() -> None:
    season = taught(10.0, 10.0, until=DAY / 4)
    assert at(season, 24 + 11.5, 24 + 12.5, 24 + 13.5) == pytest.approx([10.0, 20.0, 10.0])


def test_a_later_day_weighs_more() -> None:
    """0.6 of the day before: (20 + 0.6 x 10) / 1.6."""
    assert at(taught(10.0, 20.0, 5.0, until=3600), 48 + 9.0) == pytest.approx([16.25])


def test_more_than_a_week_ago_is_forgotten() -> None:
    season = taught(1000.0, *[10.0] * 7, 10.0, until=3600)
    assert at(season, 8 * 24 + 9.0) == pytest.approx([10.0])


def test_times_in_between_are_interpolated() -> None:
    season = taught(10.0, 10.0, until=DAY / 4)
    assert at(season, 24 + 12.0) == pytest.approx([15.0])


def test_the_peak_around_a_time_is_seen_ten_minutes_before_it() -> None:
    season = taught(10.0, 10.0, until=DAY / 4)
    near = season.peaks_at(np.array([24 + 11.9, 24 + 11.5]) * 3600).tolist()
    assert near == pytest.approx([20.0, 10.0])


def test_hours_without_a_demand_are_unknown_and_not_zero() -> None:
    season = taught(10.0, 10.0, hours=6.0)
    season.add(2 * DAY, 10.0)
    assert np.isnan(at(season, 48 + 9.0)[0])
    assert at(season, 48 + 3.0) == pytest.approx([10.0])


def test_what_was_usual_can_be_told_as_of_an_earlier_time() -> None:
    """At five in the morning of the second day the first one was all that was known of six."""
    season = taught(10.0, 20.0, until=DAY / 2)
    assert at(season, 48 + 6.0) == pytest.approx([16.25])
    season.as_of(DAY + 5 * 3600)
    assert at(season, 48 + 6.0) == pytest.approx([10.0])
    season.as_of(DAY + DAY / 2 - STEP)
    assert at(season, 48 + 6.0) == pytest.approx([16.25])
