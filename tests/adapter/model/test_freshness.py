"""The ladder goes one way: as a reading grows older it is fresh, held, gone, and never back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.freshness import FRESH_PERIODS, HELD_PERIODS, Freshness, grade

HOLD_SECONDS = 60.0


def grades(ages: list[float], period: float, hold: float = HOLD_SECONDS) -> list[int]:
    return grade(np.array(ages), np.full(len(ages), period), hold).tolist()


@pytest.mark.parametrize(
    ("period", "ages"),
    [(2.0, [0.0, 4.0, 4.1, 60.0, 60.1]), (30.0, [0.0, 60.0, 60.1, 120.0, 120.1])],
)
def test_the_steps_are_at_two_periods_and_at_the_hold_or_four_periods(
    period: float, ages: list[float]
) -> None:
    fresh, held, gone = Freshness.FRESH, Freshness.HELD, Freshness.GONE
    assert grades(ages, period) == [fresh, fresh, held, held, gone]


def test_what_was_never_read_is_gone() -> None:
    assert grades([math.nan], 2.0) == [Freshness.GONE]
    assert grades([0.0], math.nan) == [Freshness.HELD]


@given(
    st.lists(st.floats(0, 1e6), min_size=2, max_size=20),
    st.floats(0.1, 3600),
    st.floats(0, 3600),
)
def test_an_older_reading_is_never_graded_better(
    ages: list[float], period: float, hold: float
) -> None:
    found = grades(sorted(ages), period, hold)
    assert found == sorted(found)
    for age, one in zip(sorted(ages), found, strict=True):
        assert (one == Freshness.FRESH) == (age <= FRESH_PERIODS * period)
        assert (one == Freshness.GONE) == (age > max(hold, HELD_PERIODS * period))
