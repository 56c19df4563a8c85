"""The regression finds the weights behind its data, each horizon for itself."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.model.regression import Regression


def learnt(weights: list[list[float]], rounds: int, known: list[bool]) -> Regression:
    """One outcome is all horizons': its features are scaled so that it fits each one's weights."""
    dice, found = np.random.default_rng(1), Regression(len(weights), np.array([1.0, 0.0]))
    true = np.array(weights)
    for _ in range(rounds):
        features = dice.uniform(0.2, 1.0, (len(weights), 2))
        features /= (features * true).sum(axis=1, keepdims=True)
        found.learn(features, 1.0, np.array(known))
    return found


def test_it_finds_the_weights_of_every_horizon() -> None:
    found = learnt([[0.3, 0.7], [0.9, 0.2]], 500, [True, True])
    asked = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert found.predict(asked) == pytest.approx([0.3, 0.2], abs=0.01)


def test_a_horizon_without_an_outcome_learns_nothing() -> None:
    found = learnt([[0.3, 0.7], [0.9, 0.2]], 50, [True, False])
    assert found.predict(np.array([[0.0, 1.0], [2.0, 5.0]]))[1] == 2.0


def test_features_that_are_no_figures_leave_the_weights_alone() -> None:
    found = learnt([[0.3, 0.7]], 50, [True])
    before = found.predict(np.ones((1, 2)))
    found.learn(np.full((1, 2), np.nan), 1.0, np.array([True]))
    assert found.predict(np.ones((1, 2))) == before


def test_years_of_the_same_do_not_blow_it_up() -> None:
    found = Regression(1, np.array([1.0, 0.0]))
    for _ in range(20_000):
        found.learn(np.array([[1.0, 0.0]]), 0.5, np.array([True]))
    assert found.predict(np.array([[1.0, 0.0]])) == pytest.approx([0.5])
    found.learn(np.array([[1.0, 1.0]]), 0.6, np.array([True]))
    assert np.isfinite(found.predict(np.ones((1, 2)))).all()
