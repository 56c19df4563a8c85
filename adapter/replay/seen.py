"""What was seen: the workload's figures step by step, as an adapter would have read them.

A policy sees a figure only once its delay has passed, and nothing of the steps that the trace does
not know.
"""

from __future__ import annotations

from enum import StrEnum

from adapter.replay.trace import Trace
from adapter.replay.workload import Workload


class Series(StrEnum):
    """Totals over the ready pods."""

    ARRIVALS = "arrivals"  # requests per second
    PENDING = "pending"
    RUNNING = "running"
    INFLIGHT = "inflight"
    GPU = "gpu"  # percent, summed over the pods
    READY = "ready"  # pods


class Seen:
    """Owns the readings of one replay; all of them are running sums, so a mean is two look-ups."""

    def __init__(self, trace: Trace, workload: Workload) -> None:
        self.step_seconds = trace.step_seconds
        self._workload = workload
        self._known: list[bool] = trace.known.tolist()
        self._rates: list[float] = (trace.arrivals / trace.step_seconds).tolist()
        self._sums: dict[Series, list[float]] = {series: [0.0] for series in Series}

    def note(self, *, waiting: float, running: float, ready: int) -> None:
        """Add the figures of the step that has just ended."""
        sums = self._sums
        step = len(sums[Series.READY]) - 1
        gpu = self._workload.gpu_percent(running / ready) * ready if ready else 0.0
        for series, value in (
            (Series.ARRIVALS, self._rates[step]),
            (Series.PENDING, waiting),
            (Series.RUNNING, running),
            (Series.INFLIGHT, waiting + running),
            (Series.GPU, gpu),
            (Series.READY, float(ready)),
        ):
            total = sums[series]
            total.append(total[-1] + value)

    def mean(
        self, series: Series, window_seconds: float, *, now: float, delay_seconds: float = 0.0
    ) -> float | None:
        """Return the mean over the window that ended `delay_seconds` ago; None in a gap.

        A window of 0 is the last reading alone.
        """
        end = int((now - delay_seconds) / self.step_seconds + 1e-9)
        if end < 1 or not self._known[end - 1]:
            return None
        total = self._sums[series]
        begin = max(0, end - max(1, round(window_seconds / self.step_seconds)))
        return (total[end] - total[begin]) / (end - begin)
