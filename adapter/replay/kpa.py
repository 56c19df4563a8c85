"""Knative's autoscaler: a stable window, and a panic window that never scales down.

Its rules and defaults are those of Knative Serving (config-autoscaler and its scaling algorithm):
windows of 60 s and 6 s, panic at twice the capacity, at most half down and a thousandfold up.
"""

from __future__ import annotations

import math

from adapter.replay.answers import Chain
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen, Series
from adapter.replay.workload import Workload

STABLE_SECONDS = 60.0
PANIC_SECONDS = 6.0
PANIC_RATIO = 2.0
TARGET_RATIO = 0.7  # of the container's concurrency
MOST_UP = 1000.0
MOST_DOWN = 2.0


class Kpa:
    """Scales on requests in flight; keeps when it panicked last, and how far."""

    period_seconds = 2.0

    def __init__(self, workload: Workload, chain: Chain) -> None:
        self._workload = workload
        self._chain = chain
        self._target = TARGET_RATIO * workload.concurrency
        self._panicked_at: float | None = None
        self._panic_pods = 0

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        delay = self._chain.delay_seconds
        stable = seen.mean(Series.INFLIGHT, STABLE_SECONDS, now=now, delay_seconds=delay)
        panic = seen.mean(Series.INFLIGHT, PANIC_SECONDS, now=now, delay_seconds=delay)
        if stable is None or panic is None:
            return pods.wanted
        wanted = self._wanted(stable, panic, max(1, len(pods.ready)), now)
        return min(self._workload.max_replicas, max(self._workload.min_replicas, wanted))

    def _wanted(self, stable: float, panic: float, ready: int, now: float) -> int:
        lowest, highest = math.floor(ready / MOST_DOWN), math.ceil(ready * MOST_UP)
        calm = min(max(math.ceil(stable / self._target), lowest), highest)
        urgent = min(max(math.ceil(panic / self._target), lowest), highest)
        if math.ceil(panic / self._target) / ready >= PANIC_RATIO:
            if self._panicked_at is None:
                self._panic_pods = 0
            self._panicked_at = now
        elif self._panicked_at is not None and now > self._panicked_at + STABLE_SECONDS:
            self._panicked_at = None
        if self._panicked_at is None:
            return calm
        self._panic_pods = max(self._panic_pods, calm, urgent, ready)
        return self._panic_pods
