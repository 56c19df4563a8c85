"""The regression: recursive least squares, one for each horizon, all updated at once.

W minimises sum(f^(n-i) (y_i - W x_i)^2); the update is the textbook one (Haykin, Adaptive Filter
Theory, ch. 10). Demand goes in as its square root over the root of its usual size, where counts
have about the same variance at every level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.model.memo import Memo

Figures = NDArray[np.float64]

FORGETTING = 0.9997  # a weight halves in 19 h of half-minutes
_SPREAD = 10.0  # of the first weights: wide, so that data decide
_MOST_SPREAD = 1e4  # quiet hours must not let it grow for ever
_MOST_ERROR = 1.0  # one outlier moves the weights as a doubled demand does, no more


class Regression:
    """Owns the weights [horizons, features]."""

    def __init__(self, horizons: int, first: Figures) -> None:
        """`first`: the weights [features] to begin with."""
        self._weights = np.tile(first, (horizons, 1))
        self._inverse = np.tile(np.eye(len(first)) * _SPREAD, (horizons, 1, 1))

    def memorise(self, memo: Memo) -> None:
        """Hand over all of it."""
        memo.figures(self._weights)
        memo.figures(self._inverse)

    def predict(self, features: Figures) -> Figures:
        """Return [horizons] for the features [horizons, features]."""
        return np.asarray((self._weights * features).sum(axis=1))

    def learn(self, features: Figures, outcome: float, known: NDArray[np.bool_]) -> None:
        """Learn what came of the features of each horizon, where `known` [horizons]."""
        reach = (self._inverse @ features[:, :, None])[:, :, 0]
        gain = reach / (FORGETTING + (features * reach).sum(axis=1))[:, None]
        error = np.clip(outcome - self.predict(features), -_MOST_ERROR, _MOST_ERROR)
        usable = known & np.isfinite(gain).all(axis=1)
        self._weights[usable] += (gain * error[:, None])[usable]
        smaller = (self._inverse - gain[:, :, None] * reach[:, None, :]) / FORGETTING
        tame = usable & (np.trace(smaller, axis1=1, axis2=2) < _MOST_SPREAD)
        self._inverse[tame] = smaller[tame]
