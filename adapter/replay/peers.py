"""The peers: other autoscalers' rules, as far as a trace of requests tells what they look at.

What a model server's cache would show is taken as the share of a pod's concurrency that is in use.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from adapter.model.hpa import Answer
from adapter.model.hpa_policy import Metric
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Hpa
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen, Series
from adapter.replay.workload import Workload


class _Hold:
    """The highest wish of the last seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._wishes: deque[tuple[float, int]] = deque()

    def highest(self, now: float, wish: int) -> int:
        self._wishes.append((now, wish))
        while self._wishes[0][0] < now - self._seconds:
            self._wishes.popleft()
        return max(replicas for _, replicas in self._wishes)


def _clamped(workload: Workload, replicas: int) -> int:
    return min(workload.max_replicas, max(workload.min_replicas, replicas))


class Apa:
    """AIBrix's APA: outside of a tenth around the target N x usage / target, at most doubled or
    halved, down after 300 s (vllm-project/aibrix, pkg/controller/podautoscaler/algorithm)."""

    period_seconds = 15.0
    WINDOW_SECONDS = 180.0
    TOLERANCE = 0.1

    def __init__(self, workload: Workload, target_ratio: float, chain: Chain) -> None:
        self._workload = workload
        self._target = target_ratio * workload.concurrency
        self._chain = chain
        self._hold = _Hold(300.0)

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        ready = max(1, len(pods.ready))
        total = seen.mean(
            Series.INFLIGHT, self.WINDOW_SECONDS, now=now, delay_seconds=self._chain.delay_seconds
        )
        if total is None:
            return pods.wanted
        ratio = total / ready / self._target
        wish = pods.wanted
        if abs(ratio - 1.0) > self.TOLERANCE:
            wish = min(max(math.ceil(ready * ratio), ready // 2), 2 * ready)
        return _clamped(self._workload, self._hold.highest(now, wish))


class Wva:
    """llm-d's saturation rule: one more while spare cache or queue is short and none is starting,
    one less where the others would have both to spare (llm-d-workload-variant-autoscaler,
    docs/saturation-analyzer.md; figures from its defaults)."""

    period_seconds = 60.0
    FULL_CACHE, SPARE_CACHE = 0.80, 0.10
    FULL_QUEUE, SPARE_QUEUE = 5.0, 3.0

    def __init__(self, workload: Workload, chain: Chain) -> None:
        self._workload = workload
        self._chain = chain

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        delay = self._chain.delay_seconds
        running = seen.mean(Series.RUNNING, 60.0, now=now, delay_seconds=delay)
        waiting = seen.mean(Series.PENDING, 60.0, now=now, delay_seconds=delay)
        if running is None or waiting is None or pods.loading:
            return pods.wanted
        step = 0
        if not self._spare(running, waiting, len(pods.ready)):
            step = 1
        elif self._spare(running, waiting, len(pods.ready) - 1):
            step = -1
        return _clamped(self._workload, pods.wanted + step)

    def _spare(self, running: float, waiting: float, pods: int) -> bool:
        if pods < 1:
            return False
        cache = running / pods / self._workload.concurrency
        queue = waiting / pods
        short_of_cache = self.FULL_CACHE - cache < self.SPARE_CACHE
        return not short_of_cache and self.FULL_QUEUE - queue >= self.SPARE_QUEUE


class Crane(Hpa):
    """Crane's EHPA: the metric, or the highest of the coming hour as it was a day ago and a tenth
    more, whichever is larger (gocrane/crane, pkg/prediction/dsp, pkg/controller/ehpa)."""

    AHEAD_SECONDS = 3_600.0
    MARGIN = 1.1
    PERIOD_SECONDS = 86_400.0
    STEP_SECONDS = 60.0

    def answer(self, metric: Metric, seen: Seen, pods: Pods, now: float) -> Answer:
        present = super().answer(metric, seen, pods, now)
        if not isinstance(present, int):
            return present
        return max(present, round(1_000 * self.MARGIN * self._yesterday(seen, now)))

    def _yesterday(self, seen: Seen, now: float) -> float:
        ends = np.arange(self.STEP_SECONDS, self.AHEAD_SECONDS + 1, self.STEP_SECONDS)
        then = now - self.PERIOD_SECONDS
        if then < 0:
            return 0.0
        found = (
            seen.mean(Series.ARRIVALS, self.STEP_SECONDS, now=then + end) for end in ends.tolist()
        )
        return max((rate for rate in found if rate is not None), default=0.0)


class Phpa:
    """The Predictive HPA's linear model: replicas as the metric asks for them, drawn out in a
    straight line; the larger of the two (jthomperoo/predictive-horizontal-pod-autoscaler)."""

    period_seconds = 15.0
    HISTORY = 40  # ten minutes

    def __init__(self, workload: Workload, target_ratio: float, chain: Chain) -> None:
        self._workload = workload
        self._target = target_ratio * workload.pod_rate
        self._chain = chain
        self._wishes: deque[int] = deque(maxlen=self.HISTORY)
        self._hold = _Hold(300.0)

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        rate = seen.mean(Series.ARRIVALS, 60.0, now=now, delay_seconds=self._chain.delay_seconds)
        if rate is None:
            return pods.wanted
        wish = math.ceil(rate / self._target)
        self._wishes.append(wish)
        ahead = self._ahead()
        return _clamped(self._workload, self._hold.highest(now, max(wish, ahead)))

    def _ahead(self) -> int:
        if len(self._wishes) == 1:
            return self._wishes[0]
        steps = np.arange(len(self._wishes))
        slope, level = np.polyfit(steps, np.array(self._wishes, float), 1)
        then = len(self._wishes) - 1 + self._workload.cold_start.usual_seconds / self.period_seconds
        return math.ceil(float(level) + float(slope) * then - 1e-9)
