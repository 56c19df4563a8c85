"""The views: each looks at the seconds it names, and a step shows as documented."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.batch import Batch, ModelState, Point, Reading
from adapter.model.catalogue import QUANTILES, RAW, WINDOWS_SECONDS, Stat, View
from adapter.model.views import look
from adapter.model.window import Window

STATS = tuple(stat for stat in Stat if stat is not Stat.RAW)
VIEWS = tuple(View(stat, seconds) for stat in STATS for seconds in WINDOWS_SECONDS)
ROW = np.array([0])


class Series:
    """One series that is read every so many seconds."""

    def __init__(self, start: int = 1000) -> None:
        self.now, self.window = start - 1, Window(rows=1)

    def say(self, value: float, seconds: int = 1, every: int = 1) -> None:
        for _ in range(0, seconds, every):
            self.now += every
            at = self.now + 0.1
            points = (Point("pending", at, value),)
            self.window.append(Batch((Reading("u", at, 2.0, ModelState.READY, points),)), at)

    def level(self, view: View) -> float:
        return float(look(view, self.window.freeze(), ROW).levels[0])

    def seconds(self, view: View) -> float:
        return float(look(view, self.window.freeze(), ROW).seconds[0])


@pytest.mark.parametrize("start", [1000, 1003, 1009])
def test_an_idle_window_is_exactly_zero_in_every_view(start: int) -> None:
    series = Series(start)
    series.say(1234.5, 30)
    series.say(0.0, 610)
    assert {series.level(view) for view in VIEWS} == {0.0}


def idle_seconds(view: View) -> int:
    """How long nothing but 0 must have been read: what the view looks at, in whole steps."""
    reach = view.window_seconds
    if view.stat is Stat.EWMA:
        reach = 60 if view.window_seconds <= 15 else 600
    return reach if reach <= 60 else reach + 10


@given(
    past=st.lists(st.tuples(st.floats(0, 2e6, width=32), st.integers(1, 60)), max_size=8),
    start=st.integers(1000, 1059),
    every=st.sampled_from((1, 2, 5, 15)),
)
def test_whatever_was_before_an_idle_window_is_gone_to_the_last_bit(
    past: list[tuple[float, int]], start: int, every: int
) -> None:
    series = Series(start)
    for value, seconds in past:
        series.say(value, seconds, every)
    since = series.now + every  # the first reading of 0
    for seconds in sorted({idle_seconds(view) for view in VIEWS}):
        while series.now - since + 1 < seconds:
            series.say(0.0, every, every)
        over = [view for view in VIEWS if idle_seconds(view) <= series.now - since + 1]
        assert {view: series.level(view) for view in over} == dict.fromkeys(over, 0.0)


@pytest.mark.parametrize("start", [1000, 1001, 1005, 1009])
def test_a_mean_is_over_exactly_its_window(start: int) -> None:
    series = Series(start)
    series.say(0.0, 700)
    series.say(10.0, 9)
    for seconds in WINDOWS_SECONDS:
        assert series.level(View(Stat.MEAN, seconds)) == pytest.approx(90 / seconds, rel=1e-6)


@pytest.mark.parametrize("start", [1000, 1001, 1005, 1009])
def test_beyond_a_minute_only_the_oldest_step_is_taken_by_its_mean(start: int) -> None:
    series = Series(start)
    series.say(0.0, 700)
    series.say(10.0, 120)
    # Of that step w seconds are in the window, and 10 - w with the value of before are in its mean.
    off = 10.0 * 2.5 / 120
    assert series.level(View(Stat.MEAN, 120)) == pytest.approx(10.0, abs=off + 1e-6)


def test_a_level_that_stands_is_that_level() -> None:
    series = Series()
    series.say(7.25, 640)
    assert {view: series.level(view) for view in VIEWS} == pytest.approx(dict.fromkeys(VIEWS, 7.25))


def test_the_window_of_a_young_series_is_what_is_known_of_it() -> None:
    series = Series(1003)
    series.say(5.0, 42)
    assert series.seconds(RAW) == 0.0
    found = {view.window_seconds: series.seconds(view) for view in VIEWS}
    assert [found[seconds] for seconds in (15, 30, 60)] == [15, 30, 42]
    assert all(42 <= found[seconds] < 52 for seconds in (120, 300, 600))  # in whole steps
    series.say(5.0, 620)
    assert {series.seconds(view) - view.window_seconds for view in VIEWS} == {0.0}


def test_one_reading_is_enough_for_every_view() -> None:
    series = Series()
    series.say(5.0)
    views = (RAW, *VIEWS)
    assert {view: series.level(view) for view in views} == pytest.approx(dict.fromkeys(views, 5.0))


@pytest.mark.parametrize("seconds", WINDOWS_SECONDS[1:])
def test_the_rising_view_is_up_in_fifteen_seconds_and_down_with_its_window(seconds: int) -> None:
    series = Series()
    series.say(0.0, 640)
    series.say(8.0, 15)
    assert series.level(View(Stat.RISE, seconds)) == pytest.approx(8.0)
    series.say(8.0, seconds)
    series.say(0.0, 15)
    assert series.level(View(Stat.RISE, seconds)) == pytest.approx(8.0 * (1 - 15 / seconds))


@pytest.mark.parametrize("seconds", WINDOWS_SECONDS)
def test_a_maximum_lasts_for_its_window(seconds: int) -> None:
    series = Series()
    series.say(1.0, 640)
    series.say(9.0, 10)
    view = View(Stat.MAX, seconds)
    highs = [series.level(view)]
    for _ in range(seconds + 10):
        series.say(1.0)
        highs.append(series.level(view))
    assert highs == sorted(highs, reverse=True)
    assert highs[0] == pytest.approx(9.0)
    assert highs[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("stat", [Stat.P50, Stat.P90, Stat.P95, Stat.P99])
@pytest.mark.parametrize("seconds", WINDOWS_SECONDS)
def test_a_quantile_does_not_exceed_what_held_for_its_share(stat: Stat, seconds: int) -> None:
    series = Series()
    series.say(1.0, 640)
    low = math.floor(seconds * (1 - QUANTILES[stat]) / 10) * 10 - 10
    series.say(9.0, max(low, 0))
    assert series.level(View(stat, seconds)) == pytest.approx(1.0)
    series.say(9.0, seconds)
    assert series.level(View(stat, seconds)) == pytest.approx(9.0)


@given(st.lists(st.tuples(st.floats(0, 1e5, width=32), st.integers(1, 30)), min_size=1, max_size=8))
def test_every_view_lies_between_what_was_read(told: list[tuple[float, int]]) -> None:
    series = Series()
    for value, seconds in told:
        series.say(value, seconds)
    levels = [series.level(view) for view in VIEWS]
    values = [value for value, _ in told]
    assert min(values) * (1 - 1e-5) <= min(levels)
    assert max(levels) <= max(values) * (1 + 1e-5)
