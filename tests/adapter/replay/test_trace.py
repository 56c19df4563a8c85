"""A trace is steps of one grid, and what is not known stays unknown."""

from __future__ import annotations

import math

import pytest

from adapter.replay.trace import of_rates
from tests.adapter.replay.worlds import trace


def test_a_long_step_is_split_evenly_for_the_replay() -> None:
    found = trace([2.0, 1.0], step_seconds=12.0, unknown=[1]).on_grid()
    assert found.step_seconds == 4.0
    assert found.arrivals.tolist() == [8, 8, 8, 4, 4, 4]
    assert found.known.tolist() == [True] * 3 + [False] * 3
    assert found.seconds == 24.0


def test_rates_of_which_nobody_tells_are_gaps_or_without_requests() -> None:
    rates = [None, 2.0, None, math.nan, 4.0, None]
    found = of_rates("p", rates, 30.0)
    assert found.step_seconds == 30.0
    assert found.known.tolist() == [False, True, False, False, True, False]
    assert found.mean_rate == pytest.approx(3.0)
    assert found.absent_ratio == pytest.approx(0.5)  # the NaN was told
    zero = of_rates("p", rates, 30.0, absent_is_zero=True)
    assert zero.known.tolist() == [True, True, True, False, True, True]
    assert zero.arrivals.tolist() == [0, 60, 0, 60, 120, 0]
    assert zero.absent_ratio == 0
