"""The fleet: which pods exist, who owns them, and whether each can be expected to have a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Self

import msgspec


class Owner(msgspec.Struct, frozen=True):
    """One object that owns pods, direct or through a ReplicaSet."""

    kind: str
    name: str


class Standing(StrEnum):
    """What a pod's own status lets one expect of it."""

    WAITING = "waiting"  # not Running yet
    LOADING = "loading"  # Running, and the model was never ready in this container's life
    SERVING = "serving"  # the model is ready, or was and is overloaded now
    ENDED = "ended"  # terminating, succeeded or failed


class Pod(msgspec.Struct, frozen=True):
    """One pod that has a source; times are Unix seconds of the API server's own clock.

    `ip` is None until the kubelet reported one; `port` is None where no container port is named
    `forescale`. `model_started_at` is None while the model container is not running.
    """

    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    owners: tuple[Owner, ...] = ()
    phase: str = "Pending"
    terminating: bool = False
    ip: str | None = None
    port: int | None = None
    model_ready: bool = False
    model_started_at: float | None = None
    ready_changed_at: float | None = None  # Ready.lastTransitionTime

    def standing(self) -> Standing:
        """Return what the status alone says; a pod that was ready before counts as serving.

        While a model has never been ready, the Ready condition still carries the time at which the
        pod started; the kubelet writes it in whole seconds, hence the one second of slack.
        """
        if self.terminating or self.phase in ("Succeeded", "Failed"):
            return Standing.ENDED
        if self.phase != "Running":
            return Standing.WAITING
        if self.model_ready:
            return Standing.SERVING
        if self.model_started_at is None or self.ready_changed_at is None:
            return Standing.LOADING
        was_ready = self.ready_changed_at > self.model_started_at + 1.0
        return Standing.SERVING if was_ready else Standing.LOADING


class Fleet(msgspec.Struct, frozen=True):
    """All pods with a source: by UID, by namespace and by owner, in the order of their names."""

    pods: Mapping[str, Pod] = {}
    by_namespace: Mapping[str, tuple[Pod, ...]] = {}
    by_owner: Mapping[tuple[str, Owner], tuple[Pod, ...]] = {}  # (namespace, owner)
    version: int = 0

    @classmethod
    def of(cls, pods: Iterable[Pod], version: int = 0) -> Self:
        """Return the fleet of these pods."""
        by_uid = {pod.uid: pod for pod in pods}
        by_namespace: dict[str, list[Pod]] = {}
        by_owner: dict[tuple[str, Owner], list[Pod]] = {}
        for pod in sorted(by_uid.values(), key=lambda pod: (pod.namespace, pod.name)):
            by_namespace.setdefault(pod.namespace, []).append(pod)
            for owner in pod.owners:
                by_owner.setdefault((pod.namespace, owner), []).append(pod)
        return cls(
            by_uid,
            {namespace: tuple(group) for namespace, group in by_namespace.items()},
            {key: tuple(group) for key, group in by_owner.items()},
            version,
        )


EMPTY = Fleet()
