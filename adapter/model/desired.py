"""The desired: how many replicas an object's total asks for, by the target on its pods."""

from __future__ import annotations

import msgspec

from adapter.model.catalogue import METRICS
from adapter.model.fleet import Standing
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.target import Target, strictest


class Asked(msgspec.Struct, frozen=True):
    """What a total asks for; `milli` is the total as it acts, a forecast of it included."""

    target: Target
    milli: int

    @property
    def replicas(self) -> int:
        return self.target.replicas(self.milli)


def targets_of(snapshot: Snapshot, kind: str, namespace: str, name: str) -> tuple[Target, ...]:
    """Return the targets on the object's pods, one of each metric; those of ended pods are past.

    `kind` is qualified, as in Owner.
    """
    pods = snapshot.fleet.owned(namespace, kind, name).pods
    living = (pod for pod in pods if snapshot.standings[pod.uid] is not Standing.ENDED)
    return strictest(pod.target for pod in living)


def key_of(target: Target, kind: str, namespace: str, name: str) -> TotalKey:
    """Return the total that the target is for, in its metric's own view."""
    metric = METRICS[target.metric]
    return TotalKey(namespace, kind, name, metric.name, metric.view)


def asked(snapshot: Snapshot, target: Target, key: TotalKey, total_milli: int) -> Asked:
    """Return what the total asks for; a forecast that acts may raise it."""
    foreseen = snapshot.foreseen.get(key)
    return Asked(target, foreseen.raised(total_milli) if foreseen else total_milli)
