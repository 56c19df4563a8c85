"""The roster: pods, whose they are and their devices, as heard of, folded into a Fleet when asked.

Both ways in, the watch of an API server and a directory of files, write here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adapter.errors import IntakeError
from adapter.intake import podjson
from adapter.intake.allocation import Allocations, Kind
from adapter.intake.backends import Backends
from adapter.intake.podjson import Json
from adapter.intake.shelf import ObjectKey, Shelf, key_of
from adapter.model.fleet import EMPTY, Fleet, Owner, Pod
from adapter.model.owners import DEPLOYMENT, KNOWN, REPLICA_SET, STATEFUL_SET, Owners
from adapter.telemetry import Once, warn

PARENTS = (REPLICA_SET, DEPLOYMENT, STATEFUL_SET)  # kinds that stand between a pod and others


class Roster:
    """Holds what was last heard of each object; one that cannot be read is told once and left out.

    Only the few fields that the model needs are kept of an object: a fleet's JSON is 100 MB.
    """

    def __init__(self, owners: Owners = KNOWN) -> None:
        self._pods: dict[ObjectKey, Pod] = {}
        self._allocations = Allocations()
        self.parents = {kind: Shelf(kind.kind, _controller, notes=True) for kind in PARENTS}
        self.backends = Backends(owners.by_selector)
        self._above = {kind.qualified: shelf.kept for kind, shelf in self.parents.items()}
        self._resolved: dict[ObjectKey, tuple[Pod, Pod]] = {}  # a pod as heard of, and complete
        self._fleet = EMPTY
        self._listed = False
        self._dirty = False
        self._moved = False  # what pods are completed with is another
        self._looked_up: set[tuple[str, ObjectKey]] = set()  # parents of pods, there or not
        self._versions: tuple[int, ...] = ()
        self._once = Once(warn)

    def put_pod(self, raw: Json) -> None:
        """Take in a new or changed pod."""
        key = key_of(raw)
        try:
            self._pods[key] = podjson.pod(raw)
        except (IntakeError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._pods.pop(key, None)
            self._once("pod_unreadable", "/".join(key), str(error), pod="/".join(key))
        self._dirty = self._listed = True

    def drop_pod(self, key: ObjectKey) -> None:
        """Forget a deleted pod."""
        self._dirty |= self._pods.pop(key, None) is not None

    def replace_pods(self, raws: Iterable[Json]) -> None:
        """Take a whole list in place of what was known, so that deletions are not missed."""
        self._pods.clear()
        self._dirty = self._listed = True
        for raw in raws:
            self.put_pod(raw)

    def put_device(self, kind: Kind, raw: Json) -> None:
        """Take in a node, a claim or a slice."""
        self._moved |= self._allocations.put(kind, key_of(raw), raw)

    def drop_device(self, kind: Kind, key: ObjectKey) -> None:
        """Forget a deleted node, claim or slice."""
        self._moved |= self._allocations.drop(kind, key)

    def replace_devices(self, kind: Kind, raws: Iterable[Json]) -> None:
        """Take a whole list of one kind in place of what was known."""
        self._moved |= self._allocations.replace(kind, ((key_of(raw), raw) for raw in raws))

    def fleet(self) -> Fleet:
        """Return the fleet; the same object until something changed.

        Its version is 0 until the pods were listed: before that nobody knows that there are none.
        """
        if not self._listed:
            return self._fleet
        versions = self.backends.versions()
        self._moved |= self._parents_moved()
        if self._dirty or self._moved or versions != self._versions:
            if self._moved:
                self._looked_up.clear()
            self._resolved = self._completed({} if self._moved else self._resolved)
            pods = (complete for _, complete in self._resolved.values())
            version, chosen = self._fleet.version + 1, self.backends.selectors()
            self._fleet = Fleet.of(pods, version, chosen, self._allocations.nodes())
            self._dirty = self._moved = False
            self._versions = versions
        return self._fleet

    def _parents_moved(self) -> bool:
        """Return whether a parent of one of the pods has changed.

        Most ReplicaSets of a cluster are strangers' and come and go all day: to complete 10,000
        pods anew for each took 0.2 s.
        """
        moved = False
        for kind, shelf in self.parents.items():
            moved |= any((kind.qualified, key) in self._looked_up for key in shelf.changed)
            shelf.changed.clear()
        return moved

    def _completed(
        self, known: Mapping[ObjectKey, tuple[Pod, Pod]]
    ) -> dict[ObjectKey, tuple[Pod, Pod]]:
        """Return every pod with its owners and GPUs; one that did not change is as it was."""
        with_gpus = self._allocations.resolver().with_gpus
        found = {}
        for key, pod in self._pods.items():
            before = known.get(key)
            if before is not None and before[0] is pod:
                found[key] = before
            else:
                found[key] = (pod, with_gpus(podjson.with_parents(pod, self._owner_of)))
        return found

    def _owner_of(self, namespace: str, owner: Owner) -> Owner | None:
        self._looked_up.add((owner.kind, (namespace, owner.name)))
        return self._above.get(owner.kind, {}).get((namespace, owner.name))


def _controller(raw: Json) -> Owner | None:
    return podjson.controller(raw.get("metadata") or {})
