"""The fleet: which pods exist, who owns them, and whether each can be expected to have a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.model.foreseen import Mode
from adapter.model.holding import NOTHING, Holding, Node
from adapter.model.owners import EVERYWHERE, NAMESPACE, NODE
from adapter.model.selection import NOBODY, QUORUM_PERCENT, Group
from adapter.model.selector import Selector
from adapter.model.sighting import UNTOLD, Startup
from adapter.model.target import Target

# Selectors whose pods are remembered, per fleet: an HPA has one, and all HPAs of a workload share
# it. Memory is 24 bytes a pod and selector, so 1,000 pods in each are 6 MB.
MAX_SELECTORS = 256


class Owner(msgspec.Struct, frozen=True):
    """One object that pods belong to, directly or through others; `kind` as `Deployment.apps`."""

    kind: str
    name: str

    @property
    def short_kind(self) -> str:
        """The kind without its group."""
        return self.kind.partition(".")[0]


class SourceKind(StrEnum):
    """Where a pod's figures come from: the value of its label `forescale.dev/source`."""

    SIDECAR = "sidecar"
    SCRAPE = "scrape"
    PROMETHEUS = "prometheus"  # a Prometheus that scrapes it
    NODE = "node"  # it speaks for other pods of its node, not for itself


class MetricsPage(msgspec.Struct, frozen=True):
    """One page of a model server at the pod's own address."""

    engine: str  # row of the engine table, or "auto"
    port: int
    path: str


class Memory(StrEnum):
    """Which memory a container ran out of."""

    HOST = "host"  # its limit, or the node's
    GPU = "gpu"


class Exit(msgspec.Struct, frozen=True):
    """One end of a container for want of memory; `ended_at` is Unix seconds, 0 when not told."""

    container: str
    memory: Memory
    ended_at: float


class Remark(msgspec.Struct, frozen=True):
    """What is wrong with one annotation of ours; not `known` where no key is spelled like it."""

    words: str
    known: bool


class Standing(StrEnum):
    """What a pod's own status lets one expect of it."""

    WAITING = "waiting"  # not Running yet
    LOADING = "loading"  # Running, and the model was never ready in this container's life
    SERVING = "serving"  # the model is ready, or was and is overloaded now
    ENDED = "ended"  # terminating, succeeded or failed


class Pod(msgspec.Struct, frozen=True):
    """One pod that has a source; times are Unix seconds of the API server's own clock.

    `ip` is None until the kubelet reported one; `port` is None where no container port is named
    `forescale`. `model_started_at` is None while the model container is not running. `pages` are
    those to scrape, an exporter's too; `source_problem` says why its source cannot be read as it is
    described. `node` is None until the pod is scheduled; `source` is None where only a node source
    may speak for it.
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
    model_probed: bool = False  # a probe says whether it is ready: else it is once it runs
    model_started_at: float | None = None
    ready_changed_at: float | None = None  # Ready.lastTransitionTime
    source: SourceKind | None = SourceKind.SIDECAR
    pages: tuple[MetricsPage, ...] = ()
    source_problem: str | None = None
    exits: tuple[Exit, ...] = ()  # for want of memory; a status keeps the last of each container
    node: str | None = None
    service_account: str = ""
    host_network: bool = False
    holding: Holding = NOTHING
    gpus: Mapping[str, int] = {}  # how many `nvidia.com/gpu` a container asks for, where it does
    group: str | None = None  # of a LeaderWorkerSet, within the namespace
    rank: int = 0  # 0 is the leader
    group_size: int = 1
    remarks: tuple[Remark, ...] = ()  # on its annotations
    quorum_percent: float = QUORUM_PERCENT  # of the pods that it is asked for with
    hold_seconds: float | None = None  # None: the usual one
    startup: Startup = UNTOLD
    ends: bool = False  # it is meant to: by its spec it is not always restarted
    forecast: Mode | None = None  # what its annotation says
    target: Target | None = None  # what it is to carry, where its annotation says it

    def asks_for_several(self) -> bool:
        """Return whether it asks for several GPUs; replicas of a shared one are not counted."""
        return not self.is_sharing() and sum(self.gpus.values()) > 1

    def is_sharing(self) -> bool:
        """Return whether other pods may use the GPUs that it asks for, too."""
        return bool(self.holding.sharing or self.holding.sharing_allowed)

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


Object = tuple[str, Owner]  # namespace, kind and name


class Fleet(msgspec.Struct, frozen=True):
    """All pods with a source, by UID, in the order of their namespaces and names.

    A pod's place is its number in that order. Groups are worked out when first asked for and kept
    as long as the fleet is: no label and no owner changes without a new one. `node_sources` are no
    workload: they speak for the pods of their node.
    """

    pods: Mapping[str, Pod] = {}
    ordered: tuple[Pod, ...] = ()
    by_namespace: Mapping[str, Group] = {}
    by_owner: Mapping[Object, Sequence[int]] = {}  # places
    by_selector: Mapping[Object, Sequence[Selector]] = {}  # objects that choose pods by labels
    version: int = 0
    by_node: Mapping[str, Group] = {}
    node_sources: Mapping[str, Pod] = {}  # by UID
    by_group: Mapping[tuple[str, str], tuple[Pod, ...]] = {}  # (namespace, group)
    nodes: Mapping[str, Node] = {}  # by name, where they can be watched
    holds: Mapping[str, float] = {}  # of the pods that ask for another than the usual one, by UID
    _matching: dict[tuple[str, Selector], Group] = {}
    _owned: dict[Object, Group] = {}
    _by_status: dict[str, Standing] = {}
    _several: dict[str, NDArray[np.int64]] = {}

    @classmethod
    def of(
        cls,
        pods: Iterable[Pod],
        version: int = 0,
        by_selector: Mapping[Object, Sequence[Selector]] = MappingProxyType({}),
        nodes: Mapping[str, Node] = MappingProxyType({}),
    ) -> Self:
        """Return the fleet of these pods; of several with one UID the last."""
        found = {pod.uid: pod for pod in pods}
        work = (pod for pod in found.values() if pod.source is not SourceKind.NODE)
        ordered = tuple(sorted(work, key=lambda pod: (pod.namespace, pod.name)))
        by_node: dict[str, list[int]] = {}
        by_group: dict[tuple[str, str], list[Pod]] = {}
        by_namespace: dict[str, list[int]] = {}
        by_owner: dict[Object, list[int]] = {}
        for place, pod in enumerate(ordered):
            by_namespace.setdefault(pod.namespace, []).append(place)
            if pod.node is not None:
                by_node.setdefault(pod.node, []).append(place)
            if pod.group is not None:
                by_group.setdefault((pod.namespace, pod.group), []).append(pod)
            for owner in pod.owners:
                by_owner.setdefault((pod.namespace, owner), []).append(place)
        return cls(
            {pod.uid: pod for pod in ordered},
            ordered,
            {name: _group(ordered, places) for name, places in by_namespace.items()},
            by_owner,
            by_selector,
            version,
            {name: _group(ordered, places) for name, places in by_node.items()},
            {uid: pod for uid, pod in found.items() if pod.source is SourceKind.NODE},
            {key: tuple(group) for key, group in by_group.items()},
            nodes,
            {pod.uid: pod.hold_seconds for pod in ordered if pod.hold_seconds is not None},
        )

    def by_status(self) -> Mapping[str, Standing]:
        """Return what each pod's status alone says, by UID."""
        if len(self._by_status) < len(self.pods):
            self._by_status.update({uid: pod.standing() for uid, pod in self.pods.items()})
        return self._by_status

    def several(self) -> NDArray[np.int64]:
        """Return the places of the pods that ask for several GPUs of their own."""
        if not self._several:
            places = (n for n, pod in enumerate(self.ordered) if pod.asks_for_several())
            self._several["places"] = np.fromiter(places, np.int64)
        return self._several["places"]

    def matching(self, namespace: str, selector: Selector) -> Group:
        """Return the namespace's pods that the selector matches."""
        whole = self.by_namespace.get(namespace, NOBODY)
        if not selector.requirements or not whole.pods:
            return whole
        key = (namespace, selector)
        group = self._matching.pop(key, None) or whole.matching(selector)
        self._matching[key] = group  # the last asked for is the last to go
        if len(self._matching) > MAX_SELECTORS:
            del self._matching[next(iter(self._matching))]
        return group

    def owned(self, namespace: str, kind: str, name: str) -> Group:
        """Return the pods of one object; `kind` is qualified, as in Owner.

        Of what is in no namespace those of the namespace, or of all where that is EVERYWHERE.
        """
        key = (namespace, Owner(kind, name))
        group = self._owned.get(key)
        if group is None:
            group = self._found(key)
            if group.pods:
                self._owned[key] = group
        return group

    def objects(self, namespace: str, kind: str) -> list[str]:
        """Return the names of the namespace's objects of a kind that have pods here, in order."""
        known = {*self.by_owner, *self.by_selector}
        # What is in no namespace chooses pods of each.
        places = {namespace, EVERYWHERE} if namespace else {where for where, _ in known}
        names = {o.name for where, o in known if o.kind == kind and where in places}
        if kind == NODE.qualified:
            names = {*self.by_node}
        return sorted(name for name in names if self.owned(namespace, kind, name).pods)

    def _found(self, key: Object) -> Group:
        namespace, owner = key
        if owner.kind == NODE.qualified:
            there = self.by_node.get(owner.name, NOBODY)
            return there if namespace == EVERYWHERE else there.within(namespace)
        whole = self.by_namespace.get(namespace, NOBODY)
        if owner.kind == NAMESPACE.qualified:
            return whole if owner.name == namespace else NOBODY
        spaces = self.by_namespace if namespace == EVERYWHERE else (namespace,)
        places = [place for space in spaces for place in self._within(space, owner)]
        return _group(self.ordered, sorted(places)) if places else NOBODY

    def _within(self, namespace: str, owner: Owner) -> Sequence[int]:
        """Return the places of the pods that it owns in a namespace, or else chooses there."""
        if owned := self.by_owner.get((namespace, owner)):
            return owned
        key, outside = (namespace, owner), (EVERYWHERE, owner)
        selectors = self.by_selector.get(key) or self.by_selector.get(outside, ())
        chosen = self.by_namespace.get(namespace, NOBODY).matching(*selectors)
        return [int(place) for place in chosen.places]


def _group(ordered: Sequence[Pod], places: Sequence[int]) -> Group:
    return Group([ordered[place] for place in places], places)


EMPTY = Fleet()
