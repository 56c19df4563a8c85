"""The forecast raises a value in time, never lowers it, and says when it does not trust itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.model.experts import NAMES
from adapter.model.forecast import MOST_RATIO, Forecaster

DAY = 86_400.0
TICK = 30.0
Shape = Callable[[float], float | None]


def taught(shape: Shape, seconds: float, step: float = TICK, begin: float = 0.0) -> Forecaster:
    forecaster, now = Forecaster(), begin
    while now < begin + seconds:
        now += step
        forecaster.observe(now, shape(now))
    return forecaster


def noisy(level: float, size: float = 0.1) -> Shape:
    dice = np.random.default_rng(1)
    return lambda _: float(level * np.exp(size * dice.standard_normal()))


def test_a_steady_demand_is_forecast_a_little_above_itself() -> None:
    found = taught(lambda _: 50.0, 3 * 3600).publish(50.0, 600.0, 3 * 3600)
    assert found.why == "forecast"
    assert 50.0 <= found.value < 52.0


def test_nineteen_of_twenty_outcomes_are_covered_at_every_horizon() -> None:
    forecaster = taught(noisy(100.0), 12 * 3600)
    for horizon in (60.0, 300.0, 600.0, 1_200.0):
        covered, excess = forecaster.coverage(horizon) or (0.0, 9.0)
        assert covered == pytest.approx(0.95, abs=0.04), horizon
        assert excess < 0.25, horizon


def test_the_rush_of_every_day_is_asked_for_a_cold_start_before_it() -> None:
    """Demand doubles at noon of each day; ten minutes before that nothing is to be seen yet."""
    around = noisy(1.0, 0.03)

    def day(now: float) -> float:
        return (around(now) or 0.0) * (100.0 if 12 <= now % DAY / 3600 < 14 else 50.0)

    begin, now = 11.5 * 3600, DAY + 12 * 3600 - 600
    found = taught(day, now - begin, begin=begin).publish(50.0, 900.0, now)
    assert found.why == "forecast"
    assert found.value > 75.0


def test_half_an_hour_must_be_known_first() -> None:
    found = taught(noisy(50.0), 900).publish(50.0, 600.0, 900)
    assert (found.value, found.why) == (50.0, "present value: 15 of 30 minutes known")


def test_without_any_reading_there_is_no_forecast() -> None:
    found = Forecaster().publish(7.0, 600.0, 0.0)
    assert (found.value, found.predicted) == (7.0, None)
    assert "0 of 30 minutes" in found.why


def test_after_a_silence_the_present_value_holds() -> None:
    forecaster = taught(noisy(50.0), 3 * 3600)
    found = forecaster.publish(50.0, 600.0, 3 * 3600 + 300)
    assert (found.value, found.why) == (50.0, "present value: no reading for 300 s")


def test_a_clock_that_went_back_is_no_time_to_forecast() -> None:
    forecaster = taught(noisy(50.0), 3 * 3600)
    found = forecaster.publish(50.0, 600.0, 3600)
    assert (found.value, found.why) == (50.0, "present value: the clock went back")


def test_forecasts_that_were_not_enough_for_hours_are_not_trusted() -> None:
    """Four hours of calm, then demand leaps every twenty minutes to where it never was."""

    def leaps(now: float) -> float:
        return 50.0 if now < 14_400 else 50.0 * 30.0 ** ((now - 14_400) // 1_200)

    found = taught(leaps, 14_400 + 7_200).publish(1e12, 1_200.0, 14_400 + 7_200)
    assert found.value == 1e12
    assert found.why.startswith("present value: only")


def test_forecasts_that_were_far_too_high_are_not_trusted() -> None:
    """Demand falls by half every ten minutes: what was enough then is far too much now."""

    def falls(now: float) -> float:
        return 1e6 if now < 7_200 else max(1e-3, 1e6 * 0.5 ** ((now - 7_200) / 600))

    found = taught(falls, 7_200 + 12_000).publish(1.0, 1_200.0, 7_200 + 12_000)
    assert found.value == 1.0
    assert found.why.endswith("too high")


def test_what_is_published_is_at_most_three_times_the_present_and_a_pod() -> None:
    forecaster = taught(noisy(100.0), 3 * 3600)
    found = forecaster.publish(10.0, 600.0, 3 * 3600, floor=5.0)
    assert found.value == 10.0 * MOST_RATIO + 5.0
    assert found.why == "forecast, cut at 3 times the present"


@pytest.mark.parametrize(("worth", "served"), [(16.0, 16.0), (200.0, 0.0), (0.0, 0.0)])
def test_from_nothing_one_pod_is_woken_where_its_whole_worth_is_forecast(
    worth: float, served: float
) -> None:
    """A hundred in flight, and at this moment none: one pod is kept, and never more than one."""
    forecaster = taught(noisy(100.0), 3 * 3600)
    found = forecaster.publish(0.0, 600.0, 3 * 3600, floor=worth)
    assert found.predicted is not None
    assert 100.0 < found.predicted < 200.0
    assert (found.value, found.doubt) == (served, None)
    assert ("less than one pod's worth is forecast" in found.why) == (worth == 200.0)


def test_half_an_hour_after_the_last_request_nothing_keeps_a_pod() -> None:
    around, end = noisy(100.0), 12 * 3600
    forecaster = taught(lambda now: around(now) if now <= end - 1_800 else 0.0, end)
    assert forecaster.publish(0.0, 300.0, end, floor=16.0).value == 0.0


def test_a_burst_is_held_until_its_pods_serve() -> None:
    """An hour of 100, half a minute of 250, and 100 again."""
    end = 3 * 3600
    forecaster = taught(lambda now: 250.0 if end - 90 < now <= end - 60 else 100.0, end, step=5.0)
    found = forecaster.publish(100.0, 600.0, end)
    assert found.value == 250.0
    assert found.why == "a burst is held until its pods serve"


def test_a_gap_is_no_demand_of_zero() -> None:
    """Six hours in which every second hour is unknown: what is known is forecast all the same."""

    def gappy(now: float) -> float | None:
        return None if int(now // 3600) % 2 else 50.0

    forecaster = taught(gappy, 6 * 3600 + 1_800)
    found = forecaster.publish(50.0, 600.0, 6 * 3600 + 1_800)
    assert 50.0 <= found.value < 55.0


def test_nothing_for_hours_is_forecast_as_nothing() -> None:
    found = taught(lambda _: 0.0, 7_200).publish(0.0, 600.0, 7_200, floor=3.0)
    assert found.value == 0.0


def test_a_longer_horizon_never_asks_for_less() -> None:
    forecaster = taught(noisy(100.0), 6 * 3600)
    asked = [forecaster.predicted(horizon) or 0.0 for horizon in (15, 60, 200, 600, 630, 1_800)]
    assert asked == sorted(asked)
    assert forecaster.predicted(9_999) == forecaster.predicted(1_800)


def test_readings_may_come_twice_a_second_or_twice_a_minute() -> None:
    often = taught(lambda _: 50.0, 3 * 3600, step=0.5)
    rarely = taught(lambda _: 50.0, 3 * 3600, step=30.0)
    assert often.predicted(600.0) == pytest.approx(rarely.predicted(600.0))


def test_an_adapter_that_starts_at_any_time_of_the_clock_learns_the_same() -> None:
    far = taught(lambda _: 50.0, 3 * 3600, begin=1.7e9)
    assert far.publish(50.0, 600.0, 1.7e9 + 3 * 3600).why == "forecast"


def test_the_weights_of_the_experts_are_told() -> None:
    weights = taught(noisy(100.0), 3 * 3600).weights(600.0)
    assert set(weights) == set(NAMES)
    assert sum(weights.values()) == pytest.approx(1.0)


READINGS = st.none() | st.floats(0, 1e6) | st.sampled_from([0.0, math.nan, math.inf, -1.0])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1.0, 15.0, 30.0, 90.0, 4_000.0]), READINGS), max_size=60),
    st.floats(0, 1e6),
    st.floats(0, 10_000),
)
def test_whatever_comes_the_value_is_a_figure_and_never_below_the_present(
    readings: list[tuple[float, float | None]], present: float, horizon: float
) -> None:
    forecaster = taught(noisy(100.0), 3_600)
    now = 3_600.0
    for passed, reading in readings:
        now += passed
        forecaster.observe(now, reading)
        found = forecaster.publish(present, horizon, now, floor=1.0)
        assert math.isfinite(found.value)
        assert present <= found.value <= max(present, MOST_RATIO * present + 1.0)
        assert found.why


@pytest.mark.parametrize("gap_seconds", [605.0, 36_005.0])
def test_what_was_forecast_before_a_gap_is_not_served_after_it(gap_seconds: float) -> None:
    forecaster = taught(noisy(400.0), 3 * 3600)
    dice, began = np.random.default_rng(3), 3 * 3600 + gap_seconds
    most = 0.0
    for n in range(0, 1_800, 5):
        demand = float(10.0 * np.exp(0.05 * dice.standard_normal()))
        forecaster.observe(began + n, demand)
        found = forecaster.publish(demand, 300.0, began + n)
        if n == 0:
            assert found.value == demand
            assert found.why == "present value: no reading was there until a moment ago"
        most = max(most, found.value)
    assert most < 20.0  # 46 and more for half an hour, where the levels go on


@pytest.mark.parametrize("crowd_seconds", [600, 36_000])
def test_a_crowd_is_asked_for_at_once_and_is_not_expected_again_for_hours(
    crowd_seconds: int,
) -> None:
    """Three times the demand within one reading, for ten minutes or for good."""
    came, around = 6 * 3_600, noisy(1.0, 0.05)
    forecaster = taught(noisy(200.0, 0.05), came)
    ratios = []
    for passed in range(5, 3_600, 5):
        demand = (around(passed) or 0.0) * (600.0 if passed <= crowd_seconds else 200.0)
        forecaster.observe(came + passed, demand)
        found = forecaster.publish(demand, 270.0, came + passed, floor=20.0)
        assert demand <= found.value <= MOST_RATIO * demand + 20.0
        ratios.append(found.value / demand)
    assert float(np.mean(ratios[600 // 5 :])) < 1.7
    assert max(ratios[2_400 // 5 :]) < 1.8
