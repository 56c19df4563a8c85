"""The start story: one workload's cold start as it was learnt, and its pods that start now."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from adapter.model.coldstart import ColdStarts, Estimate
from adapter.model.exits import Workload
from adapter.model.sighting import Key, Sighting, stuck
from adapter.model.starting import Starting


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """How long starts of one kind take, in seconds; None where no start tells it.

    `seconds` are the whole starts seen, ascending, those of other pod templates too; `unfinished`
    counts those that are only known to take longer. The phases are medians.
    """

    p50_seconds: float | None
    p90_seconds: float
    why: str
    seconds: tuple[float, ...]
    unfinished: int
    node_seconds: float | None  # until a node was found
    pull_seconds: float | None  # until the model container ran
    load_seconds: float | None  # until the pod served
    room_seconds: float | None = None  # of those that waited, before the start, for room on a node


class StartingPod(msgspec.Struct, frozen=True, rename="camel"):
    """A pod on its way to serving, and what it does now."""

    name: str
    age_seconds: float
    doing: str


class StartStory(msgspec.Struct, frozen=True, rename="camel"):
    """One workload; `new_node` is None where no start waited for a new node."""

    namespace: str
    kind: str
    name: str
    horizon: str  # in words
    warm: Shape
    new_node: Shape | None
    starting: tuple[StartingPod, ...]
    stuck: tuple[str, ...]


def tell(starting: Starting, workload: Workload, now: float) -> StartStory:
    """Return the story of one workload, one of which nothing is known included."""
    pods, key = starting.pods(workload), starting.key(workload)
    new_node = _shape(starting.learnt, key, pods, now, new_node=True)
    blocked = {pod.uid: words for pod in pods if (words := stuck(pod, now)) is not None}
    return StartStory(
        workload.namespace,
        workload.kind,
        workload.name,
        starting.horizon(workload, now, age_seconds=0.0).words,
        _shape(starting.learnt, key, pods, now, new_node=False),
        new_node if new_node.seconds or new_node.unfinished else None,
        tuple(_pod(pod, now) for pod in pods if pod.uid not in blocked),
        tuple(blocked.values()),
    )


def _shape(
    learnt: ColdStarts, key: Key, pods: Iterable[Sighting], now: float, *, new_node: bool
) -> Shape:
    found: Estimate = learnt.estimate(key, pods, now, new_node=new_node)
    keys = {key, *learnt.templates(key.namespace, key.owner)}
    starts = (start for one in keys for start in learnt.fresh(one, now, new_node=new_node))
    return Shape(
        _tenths(found.p50_seconds),
        round(found.p90_seconds, 1),
        found.why,
        tuple(sorted(round(start.seconds, 1) for start in starts if start.ended)),
        found.censored,
        _tenths(found.node_seconds),
        _tenths(found.pull_seconds),
        _tenths(found.load_seconds),
        _tenths(found.room_seconds),
    )


def _pod(pod: Sighting, now: float) -> StartingPod:
    if pod.started is not None:
        doing = "loads its model"
    elif pod.scheduled is not None:
        doing = "waits for its container to run"
    else:  # whose work that is, is not said: without a cluster there is no scheduler
        doing = "waits for a node" if pod.new_node else "is on no node yet"
    return StartingPod(pod.name, round(now - pod.created, 1), doing)


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
