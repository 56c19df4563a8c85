"""The storm: a play in which who waits too long asks again, so the load answers to the queue.

`adapter/replay/play.py` plays a trace that is what it is. Here the requests of a step are more
while the queue is longer than what can be served in the time after which a request is late.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adapter.replay.autoscaler import Autoscaler
from adapter.replay.fluid import Fluid
from adapter.replay.play import Outcome, initial
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen
from adapter.replay.trace import Figures, Trace
from adapter.replay.workload import Workload


class _Queue(Fluid):
    """A fluid whose arrivals grow while it is late; `came` [steps] are the requests that came."""

    def __init__(self, trace: Trace, workload: Workload, ratio: float, first_step: int) -> None:
        super().__init__(trace, workload)
        self._first_step = first_step
        self.came: Figures = trace.arrivals  # which the trace and its waits are made of
        self._ratio, self._late_seconds = ratio, workload.late_seconds

    def play(self, step: int, pods: Pods) -> None:
        patience = self._late_seconds * self._workload.pod_rate * len(pods.ready)
        if self.waiting > patience and step >= self._first_step:
            self._arrivals[step] *= self._ratio
            self.came[step] = self._arrivals[step]
        super().play(step, pods)


class _Seen(Seen):
    """Readings of a rate that is known only once it has come."""

    def came(self, step: int, requests: float) -> None:
        self._rates[step] = requests / self.step_seconds


def play_storm(
    trace: Trace, workload: Workload, autoscaler: Autoscaler, ratio: float, *, first_step: int = 0
) -> Outcome:
    """Return what came of it where from the first step on who waits asks so many times.

    Every start takes as long as usual. The trace stays as it is.
    """
    trace = Trace(trace.name, trace.step_seconds, trace.arrivals.copy(), trace.known)
    queue, seen = _Queue(trace, workload, ratio, first_step), _Seen(trace, workload)
    pods = Pods(initial(trace, workload), _starts(workload))
    steps, seconds = len(trace.arrivals), trace.step_seconds
    paid, waiting = np.zeros(steps), np.zeros(steps)
    replicas, ready = np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    scaled, due = np.zeros(steps, bool), 0.0
    for step in range(steps):
        now = step * seconds
        pods.advance(now)
        if now >= due:
            due += autoscaler.period_seconds
            changes = pods.changes
            removed = pods.scale(autoscaler.decide(seen, pods, now), now)
            scaled[step] = pods.changes != changes
            paid[step] = removed * workload.termination_seconds
        queue.play(step, pods)
        seen.came(step, float(queue.came[step]))
        seen.note(waiting=queue.waiting, running=queue.running, ready=len(pods.ready))
        paid[step] += pods.held(now) * seconds
        replicas[step], ready[step], waiting[step] = pods.wanted, len(pods.ready), queue.waiting
    return Outcome(queue.waits(), paid, replicas, ready, waiting, scaled)


def _starts(workload: Workload) -> Iterator[float]:
    while True:
        yield workload.cold_start.usual_seconds
