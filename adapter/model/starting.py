"""The starting pods: each one's first way to serving, watched in the fleet, until it has taught.

A status tells the present alone, and a Ready that flips has its time rewritten: so the first
transition of each pod is kept from the moment it is seen. After a restart of the adapter all of it
comes back from the pods that live, as far as their status still says it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import structs

from adapter.model import fleet as fleets
from adapter.model.coldstart import MAX_KEYS, ColdStarts, Estimate
from adapter.model.exits import Workload, workload_of
from adapter.model.fleet import Fleet, Pod, Standing
from adapter.model.holding import Node
from adapter.model.nodes import NOWHERE, Room, Rooms
from adapter.model.sighting import Key, Sighting, observed, stuck
from adapter.model.source import NEW, Source
from adapter.model.way import Way, after, can_teach, owes_a_word, ready_at, with_node

# Set by the controllers of Deployments, of StatefulSets, and of LeaderWorkerSets.
TEMPLATE_LABELS = (
    "pod-template-hash",
    "controller-revision-hash",
    "leaderworkerset.sigs.k8s.io/template-revision-hash",
)
SYNC_SECONDS = 15.0  # the default of the HPA controller's --horizontal-pod-autoscaler-sync-period
# A source that has said nothing yet may say that the model still loads: two heartbeats and a
# connect are 6 s. A sidecar that stays silent holds nothing up for longer than this.
WORD_SECONDS = 30.0
FORGET_SECONDS = 600.0  # to look at all that was learnt takes a millisecond
ROOM_SECONDS = 5.0  # to look at 10,000 pods takes some milliseconds


class Horizon(NamedTuple):
    """How far ahead demand matters, and in words where that figure comes from."""

    seconds: float
    words: str


class _Newest(NamedTuple):
    """A workload's newest pod, which may have gone."""

    created: float
    key: Key
    gpus: int  # that it asks for
    product: str | None  # of its node, or of the nodes of those before it


class Starting:
    """Owns the pods that start now, and what all the others have taught; times are Unix seconds."""

    def __init__(self) -> None:
        self.learnt = ColdStarts()
        self._fleet = fleets.EMPTY
        self._rooms: tuple[float, Rooms] = (0.0, NOWHERE)  # as of when
        self._ways: dict[str, Way] = {}  # by UID
        self._done: dict[str, Key] = {}  # living pods that have taught, or never will
        self._newest: dict[Workload, _Newest] = {}
        self._counts: Counter[str] = Counter()  # of the newest, by namespace
        self._forgot_at = -math.inf

    def look(
        self,
        fleet: Fleet,
        standings: Mapping[str, Standing],
        sources: Mapping[str, Source],
        now: float,
        clock: float,
    ) -> None:
        """Take in the fleet as it is; a pod that serves or is gone teaches once.

        `clock` is the same moment by the monotonic clock that sources' times are told in.
        """
        before, self._fleet = self._fleet.pods, fleet
        if before is not fleet.pods:
            for uid in before.keys() - fleet.pods.keys():
                self._part(uid, now)
            for uid, pod in fleet.pods.items():
                if before.get(uid) is not pod:
                    self._meet(pod, now)
        if abs(now - self._forgot_at) >= FORGET_SECONDS:
            self._forgot_at = now
            self.learnt.forget(now)
        for uid in self._ways.keys() - fleet.pods.keys():  # a look before this one has failed
            self._part(uid, now)
        for uid in list(self._ways):
            source = sources.get(uid, NEW)
            self._attend(fleet.pods[uid], standings[uid], source, now, _told(source, now - clock))

    def pods(self, workload: Workload) -> tuple[Sighting, ...]:
        """Return the workload's pods that start now."""
        wanted = (workload.namespace, _owner(workload))
        found = (way.sighting for way in self._ways.values())
        return tuple(pod for pod in found if (pod.key.namespace, pod.key.owner) == wanted)

    def stuck(self, now: float) -> list[bool]:
        """Return for each pod that starts now whether it is stuck."""
        return [stuck(way.sighting, now) is not None for way in self._ways.values()]

    def workloads(self) -> list[Workload]:
        """Return the workloads that anything is known of, by namespace and name."""
        keys = (way.sighting.key for way in self._ways.values())
        found = {*self.learnt.workloads(), *((key.namespace, key.owner) for key in keys)}
        return [_workload(*one) for one in sorted(found)]

    def key(self, workload: Workload) -> Key:
        """Return what the workload's next pod starts like: the template of its newest one."""
        if workload in self._newest:
            return self._newest[workload].key
        known = self.learnt.templates(workload.namespace, _owner(workload))
        none = Key(workload.namespace, _owner(workload), "")
        return max(known, key=lambda key: self.learnt.starts(key)[-1].at, default=none)

    def room(self, workload: Workload, now: float) -> Room:
        """Return whether the workload's next pod finds free GPUs on the nodes that are there."""
        newest = self._newest.get(workload)
        if newest is None:
            return Room(None, "no pod of it was seen")
        if not 0 <= now - self._rooms[0] < ROOM_SECONDS:
            self._rooms = (now, Rooms.of(self._fleet))
        return self._rooms[1].room(newest.gpus, newest.product)

    def estimate(self, workload: Workload, now: float) -> Estimate:
        """Return how long the workload's next pod takes until it serves.

        It waits for a new node where no room is left for it, and does not where that is not known.
        """
        new_node = self.room(workload, now).fits is False
        pods = self.pods(workload)
        return self.learnt.estimate(self.key(workload), pods, now, new_node=new_node)

    def horizon(self, workload: Workload, now: float, *, age_seconds: float) -> Horizon:
        """Return when a pod serves that the HPA asks for on a reading of that age."""
        found, room = self.estimate(workload, now), self.room(workload, now)
        node = f" on a new node ({room.words})" if room.fits is False else ""
        seconds = found.p90_seconds + SYNC_SECONDS + age_seconds
        return Horizon(
            seconds,
            f"{seconds:.0f} s: cold start{node} {found.p90_seconds:.0f} s ({found.why}),"
            f" HPA sync {SYNC_SECONDS:.0f} s, reading {age_seconds:.0f} s old",
        )

    def _part(self, uid: str, now: float) -> None:
        """Let go of a pod that is no more: one that never served takes longer than it lived."""
        if uid in self._ways:
            self._end(uid, now, gone=now)
        self._done.pop(uid, None)

    def _meet(self, pod: Pod, now: float) -> None:
        """Take in a pod that is new or has changed."""
        key, way = _key(pod), self._ways.get(pod.uid)
        self._note_newest(pod, key)
        if (done := self._done.get(pod.uid)) is not None:
            if done != key:
                self.learnt.move(pod.uid, done, key)
                self._done[pod.uid] = key
            return
        created = pod.startup.created_at
        if way is None and (created is None or not can_teach(pod)):
            self._done[pod.uid] = key
            return
        if way is None:
            assert created is not None  # noqa: S101 - said above
            way = self._ways[pod.uid] = Way(Sighting(pod.uid, pod.name, key, created))
        elif pod.startup.restarts and not way.sighting.restarts:
            self._learn(structs.replace(way.sighting, gone=now), now)
        way.sighting = after(way.sighting, pod, key)
        way.watched |= not pod.startup.is_ready

    def _attend(
        self, pod: Pod, standing: Standing, source: Source, now: float, told: float | None
    ) -> None:
        """Look whether the pod serves by now; its source has a say in that.

        `told` is when the model was ready by the source's word, None where it says nothing.
        """
        way, is_ready = self._ways[pod.uid], pod.startup.is_ready
        way.sighting = with_node(way.sighting, self._fleet.nodes.get(pod.node or ""))
        if standing is Standing.ENDED:
            self._end(pod.uid, now, gone=now)
        elif is_ready and standing is Standing.LOADING:
            way.held_back, way.ready_at = way.watched, None
        elif is_ready and standing is Standing.SERVING:
            way.ready_seen_at = now if way.ready_at is None else way.ready_seen_at
            way.ready_at = ready_at(way, pod, told, now)
            if not owes_a_word(pod, source) or now - way.ready_seen_at >= WORD_SECONDS:
                self._end(pod.uid, now)
        elif standing is Standing.SERVING and not pod.model_ready:
            self._end(pod.uid, now)  # it was ready meanwhile, nobody knows when first

    def _end(self, uid: str, now: float, *, gone: float | None = None) -> None:
        way = self._ways.pop(uid)
        self._done[uid] = way.sighting.key
        if gone is not None or way.ready_at is not None:
            self._learn(structs.replace(way.sighting, ready=way.ready_at, gone=gone), now)

    def _learn(self, seen: Sighting, now: float) -> None:
        start = observed(seen, now)
        if start is not None:
            self.learnt.learn(seen.key, start)

    def _note_newest(self, pod: Pod, key: Key) -> None:
        workload, created = workload_of(pod), pod.startup.created_at or 0.0
        known = self._newest.get(workload)
        if known is None or created >= known.created:
            product = self._fleet.nodes.get(pod.node or "", Node()).product
            if product is None and known is not None and known.key == key:
                product = known.product
            self._counts[workload.namespace] += self._newest.pop(workload, None) is None
            self._newest[workload] = _Newest(created, key, pod.holding.requested, product)
        if len(self._newest) > MAX_KEYS:
            crowded = max(self._counts, key=self._counts.__getitem__)
            self._newest.pop(next(one for one in self._newest if one.namespace == crowded))
            self._counts[crowded] -= 1


def _key(pod: Pod) -> Key:
    template = next((pod.labels[name] for name in TEMPLATE_LABELS if name in pod.labels), "")
    workload = workload_of(pod)
    return Key(workload.namespace, _owner(workload), template)


def _owner(workload: Workload) -> str:
    return f"{workload.kind}/{workload.name}"


def _workload(namespace: str, owner: str) -> Workload:
    kind, _, name = owner.partition("/")
    return Workload(namespace, kind, name)


def _told(source: Source, offset: float) -> float | None:
    """Return the source's word in Unix seconds."""
    return None if source.ready_at is None else source.ready_at + offset
