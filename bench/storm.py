"""The storm: a play in which who waits too long asks again, so the load answers to the queue.

`adapter/replay/play.py` plays a trace that is what it is. Here the requests of a step are more
while the queue is longer than what can be served in the time after which a request is late.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapter.replay.autoscaler import Autoscaler
from adapter.replay.fluid import Fluid
from adapter.replay.play import Outcome, initial, run
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen
from adapter.replay.trace import Trace
from adapter.replay.workload import Workload


class _Seen(Seen):
    """Readings of a rate that is known only once it has come."""

    def came(self, step: int, requests: float) -> None:
        self._rates[step] = requests / self.step_seconds


class _Queue(Fluid):
    """A fluid whose arrivals grow while it is late; the trace and what is seen grow with them."""

    def __init__(
        self, trace: Trace, workload: Workload, ratio: float, first_step: int, seen: _Seen
    ) -> None:
        super().__init__(trace, workload)
        self._first_step, self._ratio, self._seen = first_step, ratio, seen
        self._late_seconds = workload.late_seconds

    def play(self, step: int, pods: Pods) -> None:
        patience = self._late_seconds * self._workload.pod_rate * len(pods.ready)
        if self.waiting > patience and step >= self._first_step:
            self._arrivals[step] *= self._ratio
            self._trace.arrivals[step] = self._arrivals[step]  # which the waits are made of
            self._seen.came(step, self._arrivals[step])
        super().play(step, pods)


def play_storm(
    trace: Trace, workload: Workload, autoscaler: Autoscaler, ratio: float, *, first_step: int = 0
) -> Outcome:
    """Return what came of it where from the first step on who waits asks so many times.

    Every start takes as long as usual. The trace stays as it is.
    """
    trace = Trace(trace.name, trace.step_seconds, trace.arrivals.copy(), trace.known)
    seen = _Seen(trace, workload)
    queue = _Queue(trace, workload, ratio, first_step, seen)
    pods = Pods(initial(trace, workload), _starts(workload))
    return run(trace, workload, autoscaler, pods=pods, queue=queue, seen=seen)


def _starts(workload: Workload) -> Iterator[float]:
    while True:
        yield workload.cold_start.usual_seconds
