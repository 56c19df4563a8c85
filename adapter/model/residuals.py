"""The residuals: how far predictions were from what came, and the margin that covers a share tau.

A residual is log(outcome / prediction) in units of its own recent size, so that the margin of a
restless hour is wide and that of a quiet night narrow (a locally scaled conformal quantile: Lei et
al., 2018, section 5.2). The quantile is that of the last 24 hours, the ceil(tau (n + 1))-th of n.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from adapter.model.memo import Memo

Figures = NDArray[np.float64]

KEPT_SECONDS = 86_400.0
STRIDE_TICKS = 4  # neighbours say nearly the same: every fourth is kept
SORT_TICKS = 12
FEWEST = 8
_RECENT_SECONDS = 7_200.0
_LONG_SECONDS = 86_400.0
_LEAST_SIZE = 0.02
# Until they are known: a size of a tenth, and the 95 % quantile of a normal residual, which is
# 1.645 standard deviations, in units of the mean absolute one.
_FIRST_SIZE, _FIRST_QUANTILE = 0.1, 2.06
_WARM = 60  # residuals before a size is good enough to divide by
_MOST_LOG = 1.5  # no margin is wider than a factor 4.5


class Residuals:
    """Owns the residuals of predictions of one shape, [..., rungs]."""

    def __init__(self, shape: tuple[int, ...], tau: float, tick_seconds: float) -> None:
        self._tau = tau
        kept = int(KEPT_SECONDS / tick_seconds / STRIDE_TICKS)
        self._ring = np.full((kept, *shape), np.nan, np.float32)
        self._recent = np.zeros(shape)
        self._long = np.zeros(shape)
        self._shares = tick_seconds / _RECENT_SECONDS, tick_seconds / _LONG_SECONDS
        self._seen = np.zeros(shape)
        self._ticks, self._stored = 0, 0
        self.quantile = np.full(shape, _FIRST_QUANTILE)

    def memorise(self, memo: Memo) -> None:
        """Hand over what is kept of it: of the ring its tails."""
        for array in (self._recent, self._long, self._seen, self.quantile):
            memo.figures(array)
        self._ticks, self._stored = memo.whole(self._ticks), memo.whole(self._stored)
        memo.tails(self._ring[: self._stored])

    @property
    def size(self) -> Figures:
        """The usual size of a residual now: the geometric mean of two hours' and a day's."""
        recent = np.maximum(self._recent, _LEAST_SIZE)
        long = np.maximum(self._long, _LEAST_SIZE)
        return np.where(self._seen < _WARM, _FIRST_SIZE, np.sqrt(recent * long))

    def margin(self, size: Figures, low: float = -_MOST_LOG, high: float = _MOST_LOG) -> Figures:
        """Return the factor by which a prediction made now has to grow to cover tau."""
        return np.exp(np.clip(self.quantile * size, low, high))

    def learn(self, residual: Figures, size_then: Figures, known: NDArray[np.bool_]) -> None:
        """Take in residuals where `known`; `size_then` is the size when they were predicted."""
        absolute = np.abs(residual)
        self._seen += known
        for mean, share in zip((self._recent, self._long), self._shares, strict=True):
            weight = np.maximum(share, 1.0 / np.maximum(self._seen, 1.0))  # at first a plain mean
            np.copyto(mean, mean + weight * (absolute - mean), where=known)
        self._ticks += 1
        if self._ticks % STRIDE_TICKS == 0:
            warm = known & (self._seen >= 2 * _WARM)  # so was the size when it was predicted
            row = self._stored % len(self._ring)
            self._ring[row] = np.where(warm, residual / size_then, np.nan)
            self._stored += 1
        if self._ticks % SORT_TICKS == 0:
            self._sort()

    def _sort(self) -> None:
        ring = self._ring[: self._stored]
        count = np.isfinite(ring).sum(axis=0)
        place = np.clip(np.ceil(self._tau * (count + 1)).astype(np.int64), 1, np.maximum(count, 1))
        ordered = np.sort(ring, axis=0)  # NaN last
        found = np.take_along_axis(ordered, place[None] - 1, axis=0)[0]
        np.copyto(self.quantile, found, where=count >= FEWEST)


LOG_CAP = math.log(3.0)
LOG_FLOOR = math.log(0.8)
