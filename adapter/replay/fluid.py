"""The fluid queue: requests as a liquid in one first-come-first-served queue before all ready pods.

It knows no chance within a step: at a load just below capacity nobody waits. The waits come out of
the two curves of arrived and served requests, exactly for a liquid.
"""

from __future__ import annotations

import numpy as np

from adapter.replay.pods import Pods
from adapter.replay.trace import Trace
from adapter.replay.waits import Figures, Waits
from adapter.replay.workload import Workload

SAMPLES_PER_STEP = 4


class Fluid:
    """Owns the queue of one replay."""

    def __init__(self, trace: Trace, workload: Workload) -> None:
        steps = len(trace.arrivals)
        self._trace = trace
        self._workload = workload
        self._capacity = np.zeros(steps)
        self._waiting_before = np.zeros(steps)
        self._served = np.zeros(steps)
        self._arrivals: list[float] = trace.arrivals.tolist()
        self.waiting = 0.0
        self.running = 0.0

    def play(self, step: int, pods: Pods) -> None:
        """Serve one step with the pods that are ready in it."""
        seconds = self._trace.step_seconds
        capacity = len(pods.ready) * self._workload.pod_rate * seconds
        before = self.waiting
        offered = before + self._arrivals[step]
        served = min(capacity, offered)
        self.waiting = offered - served
        self.running = served / seconds * self._workload.service_seconds
        self._capacity[step] = capacity
        self._waiting_before[step] = before
        self._served[step] = served

    def waits(self) -> Waits:
        """Return all waits; what is left at the end is served as fast as in the last step."""
        seconds = self._trace.step_seconds
        arrivals, steps = self._trace.arrivals, len(self._trace.arrivals)
        parts = (np.arange(SAMPLES_PER_STEP) + 0.5) / SAMPLES_PER_STEP
        begun = np.concatenate(([0.0], np.cumsum(arrivals)[:-1]))
        volume = (begun[:, None] + arrivals[:, None] * parts).ravel()
        arrived = ((np.arange(steps)[:, None] + parts) * seconds).ravel()
        knots_volume, knots_time = self._curve(begun)
        left = np.interp(volume, knots_volume, knots_time)
        weight = np.repeat(arrivals / SAMPLES_PER_STEP, SAMPLES_PER_STEP)
        return Waits(arrived, np.maximum(0.0, left - arrived), weight)

    def _curve(self, begun: Figures) -> tuple[Figures, Figures]:
        """Return the served curve's knots: a step's end, and where its queue runs dry before it."""
        seconds = self._trace.step_seconds
        arrivals, steps = self._trace.arrivals, len(self._trace.arrivals)
        surplus = self._capacity - arrivals
        dries = (surplus > 0) & (self._waiting_before < surplus)
        share = np.where(dries, self._waiting_before / np.where(dries, surplus, 1.0), 1.0)
        at_dry = np.where(dries, begun + arrivals * share, np.cumsum(self._served))
        time = np.stack(((np.arange(steps) + share) * seconds, (np.arange(steps) + 1.0) * seconds))
        volume = np.stack((at_dry, np.cumsum(self._served)))
        rate = max(self._capacity[-1] / seconds, self._workload.pod_rate)
        end = seconds * steps
        left = self.waiting / rate
        return (
            np.concatenate(([0.0], volume.T.ravel(), [volume[1, -1] + self.waiting])),
            np.concatenate(([0.0], time.T.ravel(), [end + left])),
        )
