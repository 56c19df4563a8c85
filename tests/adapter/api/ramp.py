"""A ramp in time that nobody waits for: Deployments, their queues and their HPAs.

Readings go through the adapter's own loop, answers are the bytes of its API, and replicas are what
the HPA's algorithm makes of them. A forecast is believed after half an hour at the earliest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from adapter.errors import AnswerError
from adapter.model.fleet import Owner, Pod
from adapter.model.foreseen import Mode
from adapter.model.hpa import Answer, reconcile
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Member
from adapter.model.hpa_policy import Kind, Policy, TotalMetric
from adapter.model.quantity import parse_milli
from adapter.model.sighting import Startup
from tests.adapter.api.test_custom import Asking
from tests.adapter.model.world import NAMESPACE, START, WALL, serving_pod

STEP_SECONDS = 15  # a reading, and a sync of the HPAs
COLD_SECONDS = 240.0
SERVICE_SECONDS = 8.0
SLOTS = 32  # requests that a pod serves at a time
TARGET = 0.9 * SLOTS  # requests in flight a pod


class Deployment:
    """One workload: its queue is a liquid before all ready pods, and its HPA knows one metric."""

    def __init__(
        self, asking: Asking, name: str, metric: str, pods: int, most: int = 1_000
    ) -> None:
        self.name = name
        self.waiting: list[float] = []
        self.replicas: list[int] = []
        self.answers: list[Answer] = []  # of the metric's total, or why there is none
        self._asking, self._world = asking, asking.world
        wanted = TotalMetric(metric, round(1000 * TARGET), kind=Kind.OBJECT)
        self._policy = Policy(name, f"Deployment/{name}", 1, most, (wanted,))
        self._history = History()
        self._created: dict[str, float] = {}
        self._count = 0
        self._scale(pods, before=COLD_SECONDS + 60.0)

    def serve(self, rate: float) -> None:
        """Let the requests of one step arrive; what no slot is free for waits."""
        ready = self._ready()
        offered = (self.waiting[-1] if self.waiting else 0.0) + rate * STEP_SECONDS
        served = min(offered, len(ready) * SLOTS / SERVICE_SECONDS * STEP_SECONDS)
        self.waiting.append(offered - served)
        inflight = offered - served + served / STEP_SECONDS * SERVICE_SECONDS
        self._world.say |= {name: {"inflight": inflight / len(ready)} for name in ready}
        self._world.pods |= {name: self._pod(name, name in ready) for name in self._created}

    def sync(self) -> None:
        """Let the HPA look once."""
        self.answers.append(self._answer())
        outcome = reconcile(
            self._policy,
            self._history,
            current=len(self._created),
            members=[Member(name) for name in self._created],
            answers=self.answers[-1:],
            now=self._world.now,
        )
        self._history = outcome.history
        self._scale(outcome.replicas)
        self.replicas.append(outcome.replicas)

    def _ready(self) -> set[str]:
        latest = self._world.now - COLD_SECONDS
        return {name for name, created in self._created.items() if created <= latest}

    def _scale(self, replicas: int, before: float = 0.0) -> None:
        """Create pods, or take the youngest away, as a ReplicaSet does."""
        while len(self._created) > replicas:
            name, _ = self._created.popitem()
            self._world.pods.pop(name, None)
            self._world.say.pop(name, None)
        while len(self._created) < replicas:
            self._count += 1
            self._created[f"{self.name}-{self._count:03}"] = self._world.now - before

    def _answer(self) -> Answer:
        (metric,) = self._policy.metrics
        path = f"{NAMESPACE}/deployments.apps/{self.name}/{metric.name}"
        try:
            (item,) = json.loads(self._asking.raw(path))["items"]
        except AnswerError as error:
            return str(error)
        return parse_milli(item["value"])

    def _pod(self, name: str, is_ready: bool) -> Pod:  # noqa: FBT001 - two states of one pod
        created = WALL + self._created[name] - START
        owners = (Owner("ReplicaSet.apps", f"{self.name}-1"), Owner("Deployment.apps", self.name))
        return serving_pod(
            name,
            owners=owners,
            forecast=Mode.ACT,
            model_ready=is_ready,
            model_started_at=created + 2.0,
            ready_changed_at=created + (COLD_SECONDS if is_ready else 1.0),
            startup=Startup(created_at=created, scheduled_at=created + 1.0, is_ready=is_ready),
        )


def play(asking: Asking, rates: Iterable[float], deployments: Iterable[Deployment]) -> None:
    """Let all have the same requests a second, step by step."""
    for rate in rates:
        for one in deployments:
            one.serve(rate)
        asking.world.now += STEP_SECONDS - 1.0
        asking.world.advance(1)
        for one in deployments:
            one.sync()
