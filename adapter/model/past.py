"""The past: what was predicted at each of the last ticks, until its outcome is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.model.memo import Memo

Figures = NDArray[np.float64]


class Past:
    """Owns rings of arrays whose last axis is the rungs; a rung's lag is its horizon in ticks."""

    def __init__(self, lags: NDArray[np.int64], **shapes: tuple[int, ...]) -> None:
        """`shapes`: the shape of each array, rungs last."""
        self._lags = lags
        self._rungs = np.arange(len(lags))
        self._rows = int(lags.max()) + 1
        self._made = np.full(self._rows, -1, np.int64)
        self._rings = {
            name: np.full((self._rows, *shape), np.nan) for name, shape in shapes.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._rings)

    def keep(self, tick: int, **arrays: Figures) -> None:
        """Keep what was predicted at this tick."""
        row = tick % self._rows
        self._made[row] = tick
        for name, array in arrays.items():
            self._rings[name][row] = array

    def known(self, tick: int) -> NDArray[np.bool_]:
        """Return [rungs]: whether a prediction was made one horizon before this tick."""
        then = tick - self._lags
        return np.asarray((then >= 0) & (self._made[then % self._rows] == then))

    def before(self, tick: int, name: str) -> Figures:
        """Return what was predicted for this tick, each rung from one horizon before it."""
        rows = (tick - self._lags) % self._rows
        return np.asarray(self._rings[name][rows, ..., self._rungs].T)

    def memorise(self, memo: Memo, newest: int, *names: str) -> None:
        """Hand over of these arrays what still has an outcome to come, NaN where there is none."""
        for rung, lag in enumerate(self._lags.tolist()):
            rows = np.arange(newest - lag + 1, newest + 1) % self._rows
            for name in names:
                kept = self._rings[name][rows, ..., rung]
                memo.figures(kept, gaps=True)
                self._rings[name][rows, ..., rung] = kept

    def copy(self, *names: str) -> dict[str, Figures]:
        """Return these arrays as they are now, to be put back."""
        return {name: self._rings[name].copy() for name in names}

    def put_back(self, arrays: dict[str, Figures]) -> None:
        """Take in what is known of these arrays in place of what is there."""
        for name, array in arrays.items():
            np.copyto(self._rings[name], array, where=np.isfinite(array))
