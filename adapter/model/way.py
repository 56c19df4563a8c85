"""The way: what is kept of one pod from when it is first seen until it serves."""

from __future__ import annotations

import math

import msgspec
from msgspec import structs

from adapter.model.exits import workload_of
from adapter.model.fleet import Pod, SourceKind, Standing
from adapter.model.holding import Node
from adapter.model.sighting import Key, Sighting, waited_for_room
from adapter.model.source import Source

# Nobody scales a bare pod or one that is meant to end, and each is a workload of its own: the jobs
# of a day would drive out the rest. Whatever their kind, the pods of a Deployment, a StatefulSet or
# a ReplicaSet are always restarted (the API server refuses another restartPolicy), a Job's never.
NEVER_SCALED = ("Pod", "Job")
# How much later than the model a pod may become ready: six periods of a usual readiness probe.
PROBE_SECONDS = 60.0
SPEAKING = (SourceKind.SIDECAR, SourceKind.SCRAPE)


class Way(msgspec.Struct):
    """One pod on its way; `watched` where it was seen before it was ready by its status."""

    sighting: Sighting
    watched: bool = False
    held_back: bool = False  # ready by its status, and loading by its source's word
    ready_at: float | None = None
    ready_seen_at: float = 0.0


def with_node(seen: Sighting, node: Node | None) -> Sighting:
    """Return the sighting with whether its node is new; one that is older ended a mere wait."""
    if node is None or node.created_at is None:
        return seen
    new_node = node.created_at > seen.created
    room_seconds = None if new_node else waited_for_room(seen)
    if (new_node, room_seconds) == (seen.new_node, seen.room_seconds):
        return seen
    return structs.replace(seen, new_node=new_node, room_seconds=room_seconds)


def is_scaled(pod: Pod) -> bool:
    """Tell whether the pod is one of a workload that can be scaled."""
    return not pod.ends and workload_of(pod).kind not in NEVER_SCALED


def can_teach(pod: Pod) -> bool:
    """Tell whether a pod that is seen for the first time still shows its first start, or is in it.

    After a restart of its container, or where it was ready and is not now, the time is lost. A
    group of pods starts when its leader does.
    """
    if pod.standing() is Standing.ENDED or pod.rank or not is_scaled(pod):
        return False
    if pod.startup.is_ready:
        return not pod.startup.restarts
    return pod.model_ready or pod.standing() is not Standing.SERVING


def after(seen: Sighting, pod: Pod, key: Key) -> Sighting:
    """Return the sighting with what is seen of the pod for the first time now."""
    told = pod.startup
    started = pod.model_started_at if not told.restarts else None
    return structs.replace(
        seen,
        key=key,
        scheduled=told.scheduled_at if seen.scheduled is None else seen.scheduled,
        started=started if seen.started is None else seen.started,
        restarts=told.restarts,
        new_node=seen.new_node or told.unschedulable,
        waiting_reason=told.waiting_reason,
    )


def ready_at(way: Way, pod: Pod, told: float | None, now: float) -> float | None:
    """Return when the pod first served: as seen here, else by its source's word or its status.

    A status that was not watched may tell of a later flip, or of a probe that passes too early. A
    source that tells of a time before the container ran is wrong.
    """
    if way.held_back:
        return now
    status = pod.ready_changed_at
    if way.watched or status is None or told is None or told < (pod.model_started_at or math.inf):
        return status
    return status if 0 <= status - told <= PROBE_SECONDS else told


def owes_a_word(pod: Pod, source: Source) -> bool:
    return pod.source in SPEAKING and source.heard_at is None and source.trouble is None
