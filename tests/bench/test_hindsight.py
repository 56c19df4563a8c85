"""A policy is held against the cheapest target that would have been as punctual."""

from __future__ import annotations

import pytest

from bench.hindsight import Point, saved_percent, tuned_gpu_hours

CURVE = [Point(0.7, 0.001, 120.0), Point(0.8, 0.01, 110.0), Point(0.9, 0.1, 100.0)]


def test_between_two_targets_it_is_the_logarithm_that_counts() -> None:
    assert tuned_gpu_hours(CURVE, 0.01) == pytest.approx(110.0)
    assert tuned_gpu_hours(CURVE, 0.01 * 10**0.5) == pytest.approx(105.0)


def test_what_is_cheaper_at_equal_lateness_saves() -> None:
    assert saved_percent(CURVE, 0.1, 90.0) == pytest.approx(10.0)
    assert saved_percent(CURVE, 0.001, 126.0) == pytest.approx(-5.0)


def test_beyond_the_curve_nothing_is_known() -> None:
    assert tuned_gpu_hours(CURVE, 0.2) is None
    assert saved_percent(CURVE, 0.0001, 1.0) is None


def test_nobody_tunes_to_a_target_that_is_dearer_and_later() -> None:
    worse = [*CURVE, Point(0.75, 0.05, 115.0), Point(0.6, 0.001, 150.0)]
    for late in (0.001, 0.03, 0.1):
        assert tuned_gpu_hours(worse, late) == pytest.approx(tuned_gpu_hours(CURVE, late))


def test_nobody_late_is_the_cheapest_target_at_which_nobody_is() -> None:
    curve = [Point(0.5, 0.0, 200.0), Point(0.6, 0.0, 150.0), *CURVE]
    assert tuned_gpu_hours(curve, 0.0) == pytest.approx(150.0)
