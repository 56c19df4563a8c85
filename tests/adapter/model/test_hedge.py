"""The hedge follows whoever is best at the quantile, and forgives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.hedge import Hedge

BOTH = np.array([True, True])


def test_weight_goes_to_the_expert_with_the_least_loss_on_each_rung() -> None:
    hedge = Hedge(2, 2, 0.95)
    for _ in range(1_000):
        hedge.learn(np.array([[10.0, 20.0], [20.0, 10.0]]), 10.0, BOTH)
    assert hedge.weights[0, 0] > 0.9
    assert hedge.weights[1, 1] > 0.9
    assert hedge.combine(np.array([[10.0, 20.0], [20.0, 10.0]])) == pytest.approx([10, 10], rel=0.1)


def test_too_low_costs_nineteen_times_as_much_as_too_high() -> None:
    hedge = Hedge(2, 1, 0.95)
    for _ in range(500):
        hedge.learn(np.array([[9.0], [15.0]]), 10.0, np.array([True]))
    assert hedge.weights[1, 0] > 0.9


def test_an_expert_that_was_wrong_for_long_comes_back_within_hours() -> None:
    hedge, predictions = Hedge(2, 1, 0.95), np.array([[10.0], [20.0]])
    for _ in range(20_000):
        hedge.learn(predictions, 10.0, np.array([True]))
    for _ in range(480):
        hedge.learn(predictions, 20.0, np.array([True]))
    assert hedge.weights[1, 0] > 0.5


def test_a_rung_without_an_outcome_keeps_its_weights() -> None:
    hedge = Hedge(2, 2, 0.95)
    for _ in range(100):
        hedge.learn(np.array([[10.0, 10.0], [90.0, 90.0]]), 10.0, np.array([True, False]))
    assert hedge.weights[:, 1].tolist() == [0.5, 0.5]


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6)), max_size=60))
def test_weights_are_shares_whatever_comes(rounds: list[tuple[float, float, float]]) -> None:
    hedge = Hedge(2, 1, 0.95)
    for first, second, outcome in rounds:
        hedge.learn(np.array([[first], [second]]), outcome, np.array([True]))
    assert hedge.weights.sum() == pytest.approx(1.0)
    assert (hedge.weights > 0).all()
