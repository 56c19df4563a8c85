"""The pods of a replay: created, loading, ready and gone, and the GPU time that each costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import attrgetter

import msgspec

from adapter.model.hpa_metric import Member


class Pod(msgspec.Struct):
    """One pod; its GPU is held from `placed_at` on, when it has a node."""

    name: str
    placed_at: float
    ready_at: float


class Pods:
    """Owns the pods of the workload. Cold starts come from `starts`, one per created pod.

    Those beyond `room` wait `node_seconds` for their nodes first; None is room for any number.
    """

    def __init__(
        self,
        initial: int,
        starts: Iterator[float],
        *,
        room: int | None = None,
        node_seconds: float = 0.0,
    ) -> None:
        self._starts = starts
        self._room = math.inf if room is None else room
        self._node_seconds = node_seconds
        self._created = 0
        self.ready = [self._make(0.0, 0.0) for _ in range(initial)]
        self.loading: list[Pod] = []
        self.changes = 0
        self.most = initial
        self._members: tuple[Member, ...] | None = None
        self._unplaced = False  # whether one of the members has no node yet

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
        """Bring the number of pods to `replicas`; return how many that went held a GPU."""
        before = self.wanted
        if replicas == before:
            return 0
        self._members = None
        self.changes += 1
        self.most = max(self.most, replicas)
        for number in range(before, replicas):
            placed = now + (self._node_seconds if number >= self._room else 0.0)
            self.loading.append(self._make(placed, placed + next(self._starts)))
        self.loading.sort(key=attrgetter("ready_at"))
        # A ReplicaSet deletes pods that are not ready first, then the youngest of the others.
        gone = [(self.loading or self.ready).pop() for _ in range(before - replicas)]
        return sum(pod.placed_at <= now for pod in gone)

    def held(self, now: float) -> int:
        """Return how many pods hold a GPU: all but those that wait for a node."""
        return self.wanted - sum(pod.placed_at > now for pod in self.loading)

    def start_seconds(self, usual_seconds: float) -> float:
        """Return how long the next pod takes to serve, where a start usually takes that long."""
        return usual_seconds + (self._node_seconds if self.wanted >= self._room else 0.0)

    def members(self, now: float = math.inf) -> tuple[Member, ...]:
        """Return all pods as the HPA controller lists them: one without a node is Pending, one that
        loads its model Running."""
        if self._members is None or self._unplaced:
            self._unplaced = any(pod.placed_at > now for pod in self.loading)
            self._members = tuple(
                Member(pod.name, "Running" if pod.placed_at <= now else "Pending")
                for pod in (*self.ready, *self.loading)
            )
        return self._members

    def _make(self, placed_at: float, ready_at: float) -> Pod:
        self._created += 1
        return Pod(f"pod-{self._created}", placed_at, ready_at)
