"""The perfect forecast: the highest minute that will come up to the horizon, read from the trace.

What an HPA makes of it no forecast can undercut by much: the rest of the way to the bound is the
HPA's own, which waits before it scales in and keeps its target's spare capacity.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from adapter.model.hpa import Answer
from adapter.model.hpa_policy import Metric, Policy, TotalMetric
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Hpa
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen
from adapter.replay.trace import Figures, Trace
from adapter.replay.workload import Workload

MINUTE = 60.0


class Perfect(Hpa):
    """An HPA on the arrival rate that is to come; where the trace has gaps, on the guess there."""

    def __init__(self, trace: Trace, workload: Workload, target_ratio: float) -> None:
        target = TotalMetric(
            "llm_inference_arrival_rate", round(1_000 * target_ratio * workload.pod_rate)
        )
        lowest, highest = workload.min_replicas, workload.max_replicas
        super().__init__(Policy("perfect", "Deployment/perfect", lowest, highest, (target,)))
        self._step_seconds = trace.step_seconds
        delay = Chain().delay_seconds + self.period_seconds
        self._rates = highest_ahead(trace, workload.cold_start.usual_seconds + delay)

    def answer(self, _: Metric, __: Seen, ___: Pods, now: float) -> Answer:
        return round(1_000 * float(self._rates[int(now / self._step_seconds)]))


def highest_ahead(trace: Trace, horizon_seconds: float) -> Figures:
    """Return [steps]: the highest rate of a minute that begins now or up to the horizon."""
    wide = max(1, round(MINUTE / trace.step_seconds))
    ahead = round(horizon_seconds / trace.step_seconds)
    sums = np.concatenate((np.zeros(1), np.cumsum(trace.arrivals)))
    rates = (sums[wide:] - sums[:-wide]) / (wide * trace.step_seconds)
    return np.asarray(
        sliding_window_view(np.pad(rates, (0, ahead + wide - 1), "edge"), ahead + 1).max(axis=1)
    )
