"""The play: one trace, one workload, one autoscaler, step by step; what came of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.replay.autoscaler import Autoscaler
from adapter.replay.fluid import Fluid
from adapter.replay.pods import Pods
from adapter.replay.requests import Requests
from adapter.replay.seen import Seen
from adapter.replay.trace import Trace
from adapter.replay.waits import Waits
from adapter.replay.workload import Workload

# Above this rate a liquid says the same as single requests do, in a hundredth of the time.
MOST_REQUESTS_PER_SECOND = 50.0

START_SECONDS = 600.0  # a replay begins with pods for the mean of these
START_LOAD_RATIO = 0.9
_BLOCK = 4096  # cold starts drawn at a time
_PROGRESS_STEPS = 1000

Progress = Callable[[float], None]  # the share that is done


class Queue(Protocol):
    """What stands between the requests and the ready pods."""

    waiting: float
    running: float

    def play(self, step: int, pods: Pods) -> None: ...

    def waits(self) -> Waits: ...


class Outcome(msgspec.Struct, frozen=True):
    """What came of one policy; the arrays are [steps].

    `paid` is GPU time in pod-seconds, `replicas` the pods that there were, loading ones too,
    `scaled` whether their number changed at the step's begin.
    """

    waits: Waits
    paid: NDArray[np.float64]
    replicas: NDArray[np.int64]
    ready: NDArray[np.int64]
    waiting: NDArray[np.float64]
    scaled: NDArray[np.bool_]


def play(
    trace: Trace,
    workload: Workload,
    autoscaler: Autoscaler,
    *,
    seed: int = 1,
    progress: Progress = lambda _: None,
) -> Outcome:
    """Return what the autoscaler would have done with the trace, which is on the replay's grid.

    Cold starts are drawn from the seed in the order of the starts: the first pod that any policy
    starts takes as long under every other policy.
    """
    pods = Pods(
        initial(trace, workload),
        _starts(workload, seed),
        room=workload.room,
        node_seconds=workload.node_seconds,
    )
    queue, seen = queue_of(trace, workload), Seen(trace, workload)
    return run(trace, workload, autoscaler, pods=pods, queue=queue, seen=seen, progress=progress)


def run(
    trace: Trace,
    workload: Workload,
    autoscaler: Autoscaler,
    *,
    pods: Pods,
    queue: Queue,
    seen: Seen,
    progress: Progress = lambda _: None,
) -> Outcome:
    """Play every step of the trace with these pods, this queue, and what is seen of them."""
    steps, seconds = len(trace.arrivals), trace.step_seconds
    paid, waiting = np.zeros(steps), np.zeros(steps)
    replicas, ready = np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    scaled = np.zeros(steps, bool)
    due = 0.0
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
        seen.note(waiting=queue.waiting, running=queue.running, ready=len(pods.ready))
        paid[step] += pods.held(now) * seconds
        replicas[step], ready[step], waiting[step] = pods.wanted, len(pods.ready), queue.waiting
        if step % _PROGRESS_STEPS == 0:
            progress(step / steps)
    return Outcome(queue.waits(), paid, replicas, ready, waiting, scaled)


def queue_of(trace: Trace, workload: Workload) -> Queue:
    """Return single requests where the trace has them and they are few, else a liquid."""
    if trace.times is not None and trace.mean_rate < MOST_REQUESTS_PER_SECOND:
        return Requests(trace, workload)
    return Fluid(trace, workload)


def initial(trace: Trace, workload: Workload) -> int:
    """Return the pods that a replay begins with: enough for its first minutes."""
    first = trace.arrivals[: max(1, round(START_SECONDS / trace.step_seconds))]
    rate = float(first.mean()) / trace.step_seconds
    wanted = math.ceil(rate / (START_LOAD_RATIO * workload.pod_rate))
    return min(workload.max_replicas, max(workload.min_replicas, wanted))


def _starts(workload: Workload, seed: int) -> Iterator[float]:
    dice = np.random.default_rng(seed)
    for _ in itertools.count():
        yield from workload.cold_start.draw(dice, _BLOCK).tolist()
