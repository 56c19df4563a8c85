"""Waits are weighed by their requests, and only what is known is counted."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.replay.waits import Waits


def waits(*samples: tuple[float, float, float]) -> Waits:
    arrived, seconds, weight = zip(*samples, strict=True)
    return Waits(np.array(arrived), np.array(seconds), np.array(weight))


def test_the_late_are_those_that_waited_longer_than_the_limit() -> None:
    found = waits((0, 0, 6), (1, 2.0, 2), (2, 2.1, 2))
    assert found.late_ratio(2.0) == pytest.approx(0.2)


def test_a_quantile_counts_requests_and_not_samples() -> None:
    found = waits((0, 9, 1), (1, 0, 98), (2, 5, 1))
    assert found.quantile_seconds(0.98) == 0
    assert found.quantile_seconds(0.99) == 5
    assert found.quantile_seconds(1.0) == 9


def test_what_came_in_a_gap_or_before_the_score_is_not_counted() -> None:
    found = waits((1, 9, 1), (6, 9, 1), (11, 0, 1), (16, 9, 1))
    kept = found.within(np.array([True, True, True, False]), 5.0, 1)
    assert kept.arrived.tolist() == [6, 11]
    assert kept.late_ratio(2.0) == 0.5


def test_the_late_of_a_step_are_a_share_of_those_that_came_in_it() -> None:
    found = waits((1, 9, 1), (2, 0, 3), (11, 9, 2))
    assert found.late_by_step(4, 5.0, 2.0).tolist() == [0.25, 0.0, 1.0, 0.0]


def test_no_requests_are_not_late() -> None:
    nobody = Waits(np.empty(0), np.empty(0), np.empty(0))
    assert nobody.late_ratio(2.0) == 0.0
    assert nobody.quantile_seconds(0.99) == 0.0
