"""The autoscaler of a replay: the HPA controller's algorithm, fed with what it could have seen."""

from __future__ import annotations

import math
from typing import Protocol

from adapter.model.forecast import Forecaster
from adapter.model.hpa import DEFAULT_FLAGS, Answer, reconcile
from adapter.model.hpa_behavior import History
from adapter.model.hpa_policy import Flags, Metric, Policy, ResourceMetric
from adapter.model.target import DESIRED_REPLICAS
from adapter.replay import answers
from adapter.replay.answers import FORECAST, READINGS, Chain, Desired, reading
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen, Series
from adapter.replay.workload import Workload

LEAST_DRAIN_SECONDS = 30.0


class Autoscaler(Protocol):
    """Decides about replicas every `period_seconds`."""

    period_seconds: float

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        """Return the number of replicas from now on."""
        ...


class Hpa:
    """One HPA whose metrics come over one chain."""

    def __init__(
        self, policy: Policy, chain: Chain | None = None, flags: Flags = DEFAULT_FLAGS
    ) -> None:
        self.period_seconds = flags.sync_seconds
        self.policy = policy
        self.chain = chain or Chain()
        self._flags = flags
        self._history = History()

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        outcome = reconcile(
            self.policy,
            self._history,
            current=pods.wanted,
            members=pods.members(now),
            answers=[self.answer(metric, seen, pods, now) for metric in self.policy.metrics],
            now=now,
            flags=self._flags,
        )
        self._history = outcome.history
        return outcome.replicas

    def answer(self, metric: Metric, seen: Seen, pods: Pods, now: float) -> Answer:
        return answers.answer(metric, seen, pods, self.chain, now)


class Forescale(Hpa):
    """The same HPA where some metrics are forecasts: what forescale would have served for them."""

    def __init__(
        self,
        policy: Policy,
        workload: Workload,
        chain: Chain | None = None,
        *,
        forecaster: Forecaster | None = None,
        drain: bool = True,
        desired: Desired | None = None,
    ) -> None:
        super().__init__(policy, chain)
        cold = workload.cold_start.usual_seconds
        self._cold_seconds = cold
        self._drain_seconds = max(LEAST_DRAIN_SECONDS, cold / 2.0) if drain else math.inf
        self._forecaster = forecaster or Forecaster()
        self._workload = workload
        self._desired = desired
        self._raised = False
        self._why = ""
        # (for when in seconds, requests/s) as served, NaN where the present was.
        self.foreseen: list[tuple[float, float]] = []

    @property
    def why_never(self) -> str:
        """Why no forecast was served so far, in words; empty where one was, or none was asked."""
        return "" if self._raised else self._why

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        demand = self._demand(seen, now)
        self._forecaster.observe(now, demand)
        return super().decide(seen, pods, now)

    def answer(self, metric: Metric, seen: Seen, pods: Pods, now: float) -> Answer:
        """Return the reading, or its forecast where the metric's name asks for that."""
        if metric.name == DESIRED_REPLICAS and self._desired is not None:
            total = self.answer(self._desired.demand, seen, pods, now)
            by_target = self._desired.target.replicas
            return 1000 * by_target(total) if isinstance(total, int) else total
        present = super().answer(metric, seen, pods, now)
        forecast = metric.name.endswith(FORECAST)
        if isinstance(present, str) or isinstance(metric, ResourceMetric) or not forecast:
            return present
        unit = 1000.0 * self._per_arrival(metric)
        total = present if isinstance(present, int) else sum(present.values())
        floor = metric.target_milli / unit
        horizon = self.horizon_seconds(pods)
        found = self._forecaster.publish(total / unit, horizon, now, floor=floor)
        self.foreseen.append((now + horizon, found.value if found.doubt is None else math.nan))
        self._raised, self._why = self._raised or found.value > total / unit, found.why
        if isinstance(present, int):
            return round(found.value * unit)
        return dict.fromkeys(present, round(found.value * unit / len(present)))

    def horizon_seconds(self, pods: Pods) -> float:
        """Return how far ahead is looked: until the next pod could serve."""
        start = pods.start_seconds(self._cold_seconds)
        return start + self.period_seconds + self.chain.delay_seconds

    def _per_arrival(self, metric: Metric) -> float:
        """Return what one request a second makes of the metric's total (Little's law)."""
        series, _ = READINGS[reading(metric)]
        if series is Series.INFLIGHT:
            return self._workload.service_seconds
        return 100.0 / self._workload.pod_rate if series is Series.GPU else 1.0

    def _demand(self, seen: Seen, now: float) -> float | None:
        """Return arrivals, and what would drain the queue."""
        delay = self.chain.delay_seconds
        rate = seen.mean(Series.ARRIVALS, self.period_seconds, now=now, delay_seconds=delay)
        waiting = seen.mean(Series.PENDING, self.period_seconds, now=now, delay_seconds=delay)
        if rate is None or waiting is None:
            return None
        return rate + waiting / self._drain_seconds
