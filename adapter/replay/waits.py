"""Waits: how long requests waited, each with its weight, and what share of them was late."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]


class Waits(msgspec.Struct, frozen=True):
    """Arrival time, wait and weight (requests) of each sample, three arrays [samples]."""

    arrived: Figures
    seconds: Figures
    weight: Figures

    def within(self, known: NDArray[np.bool_], step_seconds: float, first_step: int) -> Waits:
        """Return the samples whose arrival lies in a known step from `first_step` on."""
        step = np.minimum((self.arrived / step_seconds).astype(np.int64), len(known) - 1)
        keep = known[step] & (step >= first_step)
        return Waits(self.arrived[keep], self.seconds[keep], self.weight[keep])

    def late_ratio(self, late_seconds: float) -> float:
        """Return the share of requests that waited longer; 0 of no requests."""
        total = float(self.weight.sum())
        if not total:
            return 0.0
        # A nanosecond more than the limit is arithmetic, not lateness.
        return float(self.weight[self.seconds > late_seconds + 1e-9].sum()) / total

    def late_by_step(self, steps: int, step_seconds: float, late_seconds: float) -> Figures:
        """Return [steps]: the share of the requests that came in a step and were late."""
        step = np.minimum((self.arrived / step_seconds).astype(np.int64), steps - 1)
        late = self.weight * (self.seconds > late_seconds + 1e-9)
        came = np.bincount(step, self.weight, minlength=steps)
        share = np.bincount(step, late, minlength=steps) / np.where(came > 0, came, 1.0)
        return np.asarray(share, np.float64)

    def quantile_seconds(self, quantile: float) -> float:
        """Return the wait that this share of the requests does not exceed."""
        if not len(self.weight):
            return 0.0
        order = np.argsort(self.seconds)
        reached = np.cumsum(self.weight[order])
        place = int(np.searchsorted(reached, quantile * reached[-1]))
        return float(self.seconds[order[min(place, len(order) - 1)]])
