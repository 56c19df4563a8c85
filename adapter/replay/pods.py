"""The pods of a replay: created, loading, ready and gone, and the GPU time that each costs."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

import msgspec

from adapter.model.hpa_metric import Member


class Pod(msgspec.Struct):
    """One pod; its GPU is held from `created` on."""

    name: str
    created: float
    ready_at: float


class Pods:
    """Owns the pods of the workload. Cold starts come from `starts`, one per created pod."""

    def __init__(self, initial: int, starts: Iterator[float]) -> None:
        self._starts = starts
        self._created = 0
        self.ready = [self._make(0.0, 0.0) for _ in range(initial)]
        self.loading: list[Pod] = []
        self.changes = 0
        self.most = initial
        self._members: tuple[Member, ...] | None = None

    @property
    def wanted(self) -> int:
        """The Deployment's spec.replicas."""
        return len(self.ready) + len(self.loading)

    def advance(self, now: float) -> None:
        """Let the pods that have loaded their model serve."""
        if not self.loading or self.loading[0].ready_at > now:
            return
        while self.loading and self.loading[0].ready_at <= now:
            self.ready.append(self.loading.pop(0))

    def scale(self, replicas: int, now: float) -> int:
        """Bring the number of pods to `replicas`; return how many were removed."""
        before = self.wanted
        if replicas == before:
            return 0
        self._members = None
        self.changes += 1
        self.most = max(self.most, replicas)
        for _ in range(replicas - before):
            self.loading.append(self._make(now, now + next(self._starts)))
        self.loading.sort(key=attrgetter("ready_at"))
        # A ReplicaSet deletes pods that are not ready first, then the youngest of the others.
        for _ in range(before - replicas):
            (self.loading or self.ready).pop()
        return max(0, before - replicas)

    def members(self) -> tuple[Member, ...]:
        """Return all pods as the HPA controller lists them: a loading model is phase Running."""
        if self._members is None:
            self._members = tuple(Member(pod.name) for pod in (*self.ready, *self.loading))
        return self._members

    def _make(self, created: float, ready_at: float) -> Pod:
        self._created += 1
        return Pod(f"pod-{self._created}", created, ready_at)
