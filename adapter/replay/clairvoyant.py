"""The clairvoyant: the least GPU time with which a share of a trace's requests can be on time.

It is a lower bound, not a policy. Who knows the whole trace decides for each pod alone whether it
stays through a lull or is stopped and started anew (offline right-sizing falls apart by level). For
a share of late requests each request in time gets a price; whatever the price, the cheapest answer
to it is below what any policy can reach (Lagrangian duality), and the best of some prices is used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.replay.trace import Trace
from adapter.replay.workload import Workload

# Prices of a request in time, in what a full pod's request costs.
_PRICES = np.array(
    [0.0, 0.5, 1.0, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1e4]
)
_WINDOW_STEPS = (1, 3, 6, 12, 24)


class Clairvoyant:
    """Owns the bound of one trace and workload, from `first_step` on."""

    def __init__(
        self, trace: Trace, workload: Workload, *, first_step: int = 0, grace_seconds: float = 0.0
    ) -> None:
        """`grace_seconds`: how much longer than `late_seconds` work may lie before it counts."""
        self._prices = _PRICES / workload.pod_rate
        known = trace.known[first_step:]
        arrivals = np.where(known, trace.arrivals[first_step:], 0.0)
        paid = np.where(known, trace.step_seconds, 0.0)
        self._least = float(paid.sum()) * workload.min_replicas
        self._bounds = [
            _Windows(
                arrivals=arrivals,
                paid=paid,
                steps=steps,
                step_seconds=trace.step_seconds,
                workload=workload,
                grace_seconds=grace_seconds,
            )
            for steps in _usable(trace.step_seconds, workload)
        ]
        self._values = [windows.cheapest(self._prices) for windows in self._bounds]
        self.most = max(windows.levels for windows in self._bounds)

    def gpu_seconds(self, late_ratio: float = 0.0) -> float:
        """Return the bound for this share of late requests, of 0 (none) to 1."""
        best = self._least
        for windows, values in zip(self._bounds, self._values, strict=True):
            due = (1.0 - late_ratio) * windows.total - windows.free
            best = max(best, float((values + self._prices * due).max()))
        return best


def _usable(step_seconds: float, workload: Workload) -> tuple[int, ...]:
    """Return window lengths: a run's two ragged edges must not outweigh its cold start."""
    cold = workload.cold_start.least_seconds
    fit = [steps for steps in _WINDOW_STEPS if step_seconds * (2 * steps - 1) <= cold]
    return tuple(fit[-2:]) or (1,)


class _Windows:
    """The trace in windows of some steps. In a window's reach lies the first step of the next one,
    where the last of its requests may still be served in time."""

    def __init__(
        self,
        *,
        arrivals: NDArray[np.float64],
        paid: NDArray[np.float64],
        steps: int,
        step_seconds: float,
        workload: Workload,
        grace_seconds: float,
    ) -> None:
        pad = -len(arrivals) % steps
        self._arrivals = np.pad(arrivals, (0, pad)).reshape(-1, steps).sum(axis=1)
        self._paid = np.pad(paid, (0, pad)).reshape(-1, steps).sum(axis=1)
        self.total = float(self._arrivals.sum())
        self.free = float(self._arrivals[-1])  # may be served after the end
        self._arrivals[-1] = 0.0
        reach = steps * step_seconds + workload.late_seconds + grace_seconds
        self._capacity = workload.pod_rate * reach
        self._forced = workload.min_replicas
        self.levels = max(self._forced, int(np.ceil(self._arrivals.max() / self._capacity)))
        # A run of R windows lasts at least (R - 2) windows and one step.
        self._start = workload.cold_start.least_seconds - step_seconds * (2 * steps - 1)
        self._edge = step_seconds * (steps - 1)

    def cheapest(self, prices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [prices]: the least cost of pods less the price of what they serve in time."""
        level = np.arange(self.levels)
        fill = np.clip(self._arrivals[:, None] - level * self._capacity, 0.0, self._capacity)
        forced = self._paid.sum() * self._forced - prices * fill[:, : self._forced].sum()
        free = fill[:, self._forced :]
        on = np.full((len(prices), free.shape[1]), -self._edge)  # pods of before cost no start
        off = np.zeros_like(on)
        price = prices[:, None]
        for served, paid in zip(free, self._paid.tolist(), strict=True):
            stopped = np.minimum(off, on)
            on = np.minimum(on, off + self._start) + (paid - price * served)
            off = stopped
        return np.asarray(forced + np.minimum(on, off).sum(axis=1))
