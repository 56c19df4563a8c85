"""The sighting: what a pod's status shows of its way to serving, and what that says of a start.

Each pod is one observation. One that still starts, or was deleted before it served, is known to
take *longer* than it did (censored). Pods that are stuck for a reason say nothing about a start and
are named instead. The times are of several clocks, which are taken for one: creation is the API
server's, `scheduled` the scheduler's, `started` and a status's Ready the node's, and `gone`, `now`
and the Ready of a pod that was held back the adapter's. A start is as wrong as these are apart.
"""

from __future__ import annotations

import msgspec

# A start that takes longer is stuck: the longest loads in the wild are 15 minutes.
CAP_SECONDS = 1_800.0

# The scheduler's longest back-off (podMaxBackoffSeconds): who is bound later waited for room, for a
# quota, or for whoever holds a scheduling gate.
SCHEDULER_SECONDS = 10.0

STUCK_REASONS = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)


class Startup(msgspec.Struct, frozen=True):
    """How far a pod is on its way to serving, as its status says now; times as in a Sighting.

    `is_ready` is its Ready condition. `waiting_reason` is the kubelet's word for the container that
    holds it up, empty where none does or where that is usual.
    """

    created_at: float | None = None
    scheduled_at: float | None = None
    is_ready: bool = False
    restarts: int = 0  # of the model container
    waiting_reason: str = ""
    unschedulable: bool = False  # no node has room for it


UNTOLD = Startup()


class Key(msgspec.Struct, frozen=True):
    """What starts alike: one workload's pods of one template."""

    namespace: str
    owner: str  # kind/name of the Deployment or other owner at the top
    template: str  # pod-template-hash; empty where there is none


class Sighting(msgspec.Struct, frozen=True):
    """A pod as its status and its sidecar show it; None is what has not happened or is not known.

    `ready` is the *first* time it served. After a restart of the container nobody knows that any
    more. `gone` is when it was deleted.
    """

    uid: str
    name: str
    key: Key
    created: float
    scheduled: float | None = None
    started: float | None = None  # the model container
    ready: float | None = None
    gone: float | None = None
    restarts: int = 0
    new_node: bool = False  # its node is younger than the pod, or it waits for one
    room_seconds: float | None = None  # it waited for on a node that was there before it
    waiting_reason: str = ""  # of the model container


class Start(msgspec.Struct, frozen=True):
    """One observation: `seconds` from creation, the whole start if `ended`, else at least that.

    Where the pod waited for room on a node that was there before it, the start begins after that.
    """

    seconds: float
    ended: bool
    at: float  # when it was known
    uid: str = ""  # of the pod; empty where that is not known
    new_node: bool = False
    node_seconds: float | None = None  # created -> scheduled
    pull_seconds: float | None = None  # scheduled -> the model container runs
    load_seconds: float | None = None  # -> ready
    room_seconds: float | None = None  # before the start; None where there was room


def stuck(pod: Sighting, now: float) -> str | None:
    """Return why the pod's start says nothing about starts; None where it does."""
    if pod.ready is not None:
        return None
    if pod.waiting_reason in STUCK_REASONS:
        return f"{pod.name}: {pod.waiting_reason}"
    if pod.restarts:
        return f"{pod.name}: restarted before it was ready (restarts: {pod.restarts})"
    age = (now if pod.gone is None else pod.gone) - _begun(pod)
    if age <= CAP_SECONDS:
        return None
    what = "not scheduled" if pod.scheduled is None else "not ready"
    return f"{pod.name}: {what} after {age:.0f} s"


def observed(pod: Sighting, now: float) -> Start | None:
    """Return the pod's observation so far; None where it would mislead."""
    if stuck(pod, now) is not None:
        return None
    if pod.ready is None:
        age = (now if pod.gone is None else pod.gone) - _begun(pod)
        if age <= 0:
            return None
        return Start(age, ended=False, at=now, uid=pod.uid, new_node=pod.new_node)
    seconds = pod.ready - _begun(pod)
    if pod.restarts:
        return None
    if not 0 <= seconds <= CAP_SECONDS:
        return None
    return Start(
        seconds,
        ended=True,
        at=pod.ready,
        uid=pod.uid,
        new_node=pod.new_node,
        node_seconds=None if pod.room_seconds else _between(pod.created, pod.scheduled, seconds),
        pull_seconds=_between(pod.scheduled, pod.started, seconds),
        load_seconds=_between(pod.started, pod.ready, seconds),
        room_seconds=pod.room_seconds,
    )


def waited_for_room(pod: Sighting) -> float | None:
    """Return how long the pod waited until a node that was there before it took it."""
    if pod.scheduled is None or pod.scheduled - pod.created <= SCHEDULER_SECONDS:
        return None
    return pod.scheduled - pod.created


def _begun(pod: Sighting) -> float:
    return pod.created + (pod.room_seconds or 0.0)


def _between(first: float | None, then: float | None, whole: float) -> float | None:
    """Return the time between; None where it is not known, or longer than the whole start."""
    if first is None or then is None:
        return None
    return then - first if 0 <= then - first <= whole else None
