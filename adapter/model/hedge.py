"""The hedge: experts are weighed by how well they did, and none is ever written off.

Fixed-share Hedge (Herbster and Warmuth, 1998) on the pinball loss at tau, whose minimum is the
tau-quantile: a prediction that was too low costs tau per unit, one too high 1 - tau.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.model.memo import Memo

Figures = NDArray[np.float64]

STEP = 0.03  # on a loss in units of its own mean
MOST_LOSS = 20.0
SHARE = 0.001  # of all weight, dealt out anew at every outcome
_MEAN_SHARE = 0.003


class Hedge:
    """Owns the weights [experts, rungs], each rung for itself; they sum to 1 over the experts."""

    def __init__(self, experts: int, rungs: int, tau: float) -> None:
        self._tau = tau
        self._mean_loss = np.full(rungs, np.nan)
        self.weights = np.full((experts, rungs), 1.0 / experts)

    def memorise(self, memo: Memo) -> None:
        """Hand over all of it."""
        memo.figures(self._mean_loss, gaps=True)
        memo.figures(self.weights)

    def combine(self, predictions: Figures) -> Figures:
        """Return the weighted mean [rungs] of predictions [experts, rungs]."""
        return np.asarray((self.weights * predictions).sum(axis=0))

    def learn(self, predictions: Figures, outcome: float, known: NDArray[np.bool_]) -> None:
        """Weigh anew, on the rungs that are `known`, by what was predicted of the outcome."""
        short = outcome - predictions
        loss = np.where(short > 0, self._tau * short, (self._tau - 1.0) * short)
        mine = self.combine(loss)
        moved = self._mean_loss + _MEAN_SHARE * (mine - self._mean_loss)
        fresh = np.where(np.isnan(self._mean_loss), mine, moved)
        np.copyto(self._mean_loss, fresh, where=known)
        scaled = np.minimum(loss / (self._mean_loss + 1e-12), MOST_LOSS)
        grown = self.weights * np.exp(-STEP * np.where(known, scaled, 0.0))
        grown /= grown.sum(axis=0)
        self.weights = (1.0 - SHARE) * grown + SHARE / len(grown)
