"""The roster: pods, their ReplicaSets and devices as heard of, folded into a Fleet when asked.

Both ways in, the watch of an API server and a directory of files, write here.
"""

from __future__ import annotations

from collections.abc import Iterable

from adapter.errors import IntakeError
from adapter.intake import podjson
from adapter.intake.allocation import Allocations, Kind
from adapter.intake.podjson import Json
from adapter.model.fleet import EMPTY, Fleet, Owner, Pod
from adapter.telemetry import Once, warn

ObjectKey = tuple[str, str]  # namespace, name


class Roster:
    """Holds what was last heard of each object; one that cannot be read is told once and left out.

    Only the few fields that the model needs are kept of an object: a fleet's JSON is 100 MB.
    """

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, Pod] = {}
        self._parents: dict[ObjectKey, Owner] = {}
        self._allocations = Allocations()
        self._fleet = EMPTY
        self._dirty = False
        self._once = Once(warn)

    def put_pod(self, raw: Json) -> None:
        """Take in a new or changed pod."""
        key = key_of(raw)
        try:
            self._pods[key] = podjson.pod(raw)
        except (IntakeError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._pods.pop(key, None)
            self._once("pod_unreadable", "/".join(key), str(error), pod="/".join(key))
        self._dirty = True

    def drop_pod(self, key: ObjectKey) -> None:
        """Forget a deleted pod."""
        self._dirty |= self._pods.pop(key, None) is not None

    def replace_pods(self, raws: Iterable[Json]) -> None:
        """Take a whole list in place of what was known, so that deletions are not missed."""
        self._pods.clear()
        self._dirty = True
        for raw in raws:
            self.put_pod(raw)

    def put_parent(self, raw: Json) -> None:
        """Take in a ReplicaSet's metadata."""
        owner = podjson.controller(raw.get("metadata") or {})
        if owner is not None and self._parents.get(key_of(raw)) != owner:
            self._parents[key_of(raw)] = owner
            self._dirty = True

    def drop_parent(self, key: ObjectKey) -> None:
        """Forget a deleted ReplicaSet."""
        self._dirty |= self._parents.pop(key, None) is not None

    def replace_parents(self, raws: Iterable[Json]) -> None:
        """Take a whole list of ReplicaSets in place of what was known."""
        self._parents.clear()
        self._dirty = True
        for raw in raws:
            self.put_parent(raw)

    def put_device(self, kind: Kind, raw: Json) -> None:
        """Take in a node, a claim or a slice."""
        self._dirty |= self._allocations.put(kind, key_of(raw), raw)

    def drop_device(self, kind: Kind, key: ObjectKey) -> None:
        """Forget a deleted node, claim or slice."""
        self._dirty |= self._allocations.drop(kind, key)

    def replace_devices(self, kind: Kind, raws: Iterable[Json]) -> None:
        """Take a whole list of one kind in place of what was known."""
        self._dirty |= self._allocations.replace(kind, ((key_of(raw), raw) for raw in raws))

    def fleet(self) -> Fleet:
        """Return the fleet; the same object until something changed."""
        if self._dirty:
            with_gpus = self._allocations.resolver().with_gpus
            pods = (podjson.with_parent(pod, self._parents) for pod in self._pods.values())
            self._fleet = Fleet.of(map(with_gpus, pods), self._fleet.version + 1)
            self._dirty = False
        return self._fleet


def key_of(raw: Json) -> ObjectKey:
    metadata = raw.get("metadata") or {}
    return metadata.get("namespace", ""), metadata.get("name", "")
