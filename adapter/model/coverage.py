"""The coverage: how often a forecast was enough of late, and by how much it was too much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.model.memo import Memo

Figures = NDArray[np.float64]

NEARLY = 1.01  # of a forecast: a hundredth short is no shortage
# A forecast is served at three times the present at most. What it was beyond that has cost nothing,
# and counted in full, five minutes of an overload would outweigh the hours after it.
MOST_EXCESS = 2.0


class Coverage:
    """Owns the outcomes of the last `ticks`, rung by rung."""

    def __init__(self, rungs: int, ticks: int) -> None:
        self._enough = np.full((ticks, rungs), np.nan, np.float32)
        self._over = np.full((ticks, rungs), np.nan, np.float32)
        self._next = 0

    def add(self, forecast: Figures, outcome: float, known: NDArray[np.bool_]) -> None:
        """Add what came of the forecast of each rung, where `known`."""
        row = self._next % len(self._enough)
        self._enough[row] = np.where(known, outcome <= forecast * NEARLY, np.nan)
        over = (forecast - outcome) / max(outcome, 1e-9)
        self._over[row] = np.where(known, np.clip(over, -1.0, MOST_EXCESS), np.nan)
        self._next += 1

    def memorise(self, memo: Memo) -> None:
        """Hand over what is kept of it: of the excess the means."""
        self._next = memo.whole(self._next)
        memo.flags(self._enough)
        memo.means(self._over)

    def of(self, rung: int, fewest: int) -> tuple[float, float] | None:
        """Return the share covered and the mean excess over the outcome, or None of too few."""
        enough, over = self._enough[:, rung], self._over[:, rung]
        known = np.isfinite(enough)
        if known.sum() < fewest:
            return None
        return float(enough[known].mean()), float(over[known].mean())
