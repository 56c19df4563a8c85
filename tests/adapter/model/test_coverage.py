"""Coverage tells how often a forecast was enough, and by how much it was too much."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.model.coverage import MOST_EXCESS, Coverage

KNOWN = np.array([True, True])


def test_share_and_excess_are_those_of_the_last_outcomes() -> None:
    found = Coverage(2, 4)
    for outcome in (1000.0, 10.0, 20.0, 10.0, 5.0):
        found.add(np.array([10.0, 20.0]), outcome, KNOWN)
    assert found.of(0, 4) == pytest.approx((0.75, (0.0 - 0.5 + 0.0 + 1.0) / 4))
    assert found.of(1, 4) == pytest.approx((1.0, (1.0 + 0.0 + 1.0 + MOST_EXCESS) / 4))


def test_of_too_few_outcomes_nothing_is_said() -> None:
    found = Coverage(2, 4)
    found.add(np.array([10.0, 20.0]), 5.0, np.array([True, False]))
    assert found.of(0, 2) is None
    assert found.of(1, 1) is None


def test_an_outcome_of_nothing_does_not_blow_the_excess_up() -> None:
    found = Coverage(2, 4)
    found.add(np.array([10.0, 0.0]), 0.0, KNOWN)
    assert found.of(0, 1) == (1.0, MOST_EXCESS)
    assert found.of(1, 1) == (1.0, 0.0)


def test_a_few_wild_forecasts_do_not_outweigh_the_hours_around_them() -> None:
    found = Coverage(1, 720)
    for n in range(120):
        wild = 60 <= n < 70
        found.add(np.array([1e4 if wild else 12.0]), 10.0, np.array([True]))
    covered, excess = found.of(0, 30) or (0.0, 0.0)
    assert covered == 1.0
    assert 0.2 < excess < 0.4
