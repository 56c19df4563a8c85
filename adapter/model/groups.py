"""The groups: one model server over several pods, whose GPUs are one figure of the leader's.

A LeaderWorkerSet's HPA sees the leaders alone (its `hpaPodSelector`), and only leaders serve: the
GPUs of the workers would move nothing. So each figure of a leader is that of its whole group: a
share is the mean over all its GPUs, a sum is the sum over all its pods or is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import structs

from adapter.model.batch import Batch, ModelState, Origin, Point, Reading
from adapter.model.catalogue import SPREAD, Over, over
from adapter.model.fleet import Fleet
from adapter.model.freshness import HELD_PERIODS
from adapter.model.hold import Hold
from adapter.model.precedence import GPU
from adapter.model.word import NO_GPUS, Gpus

SUMS = frozenset({"gpu_memory_used_bytes", "gpu_power_watts"})
WORST = frozenset({"gpu_health"})  # 1 only when every pod says so

_OVER = frozenset(over(series, way) for series in SPREAD for way in (Over.MAX, Over.MIN))

GroupKey = tuple[str, str]  # namespace, group


class Member(msgspec.Struct, frozen=True):
    """What one pod of a group last said of its GPUs, and until when that stands."""

    points: Mapping[str, Point]
    gpus: Gpus
    until: float


class Groups:
    """Remembers each member's last word; `fold` puts the group's in place of the leader's."""

    def __init__(self, hold_seconds: float) -> None:
        self.hold = Hold(hold_seconds)
        self._members: dict[str, Member] = {}  # by pod UID

    def fold(self, batch: Batch, fleet: Fleet, now: float) -> Batch:
        """Return the batch with what it says of members folded into their leaders' figures."""
        if not fleet.by_group:
            return batch
        self._members = {
            uid: member
            for uid, member in self._members.items()
            if uid in fleet.pods and member.until > now
        }
        readings = [r for each in batch.readings for r in self._folded(each, fleet, now)]
        return structs.replace(batch, readings=tuple(readings))

    def _folded(self, reading: Reading, fleet: Fleet, now: float) -> Iterator[Reading]:
        pod = fleet.pods.get(reading.uid)
        if pod is None or pod.group is None:
            yield reading
            return
        self._remember(reading)
        group = fleet.by_group[pod.namespace, pod.group]
        heard = [m for one in group if (m := self._members.get(one.uid)) and m.until > now]
        size = max(len(group), *(one.group_size for one in group))
        points, gpus = tuple(_points(heard, size)), _gpus(heard, size)
        if pod.rank == 0:
            yield _led(reading, points, gpus)
            return
        yield reading
        leader = next((one for one in group if one.rank == 0), None)
        if leader is not None and points:
            period, unknown = reading.period_seconds, ModelState.UNKNOWN
            of_member = reading.origin is not Origin.NODE
            yield Reading(
                leader.uid,
                reading.at,
                period,
                unknown,
                points,
                origin=Origin.NODE,
                of_member=of_member,
                gpus=gpus,
            )

    def _remember(self, reading: Reading) -> None:
        points = {point.series: point for point in reading.points if _is_gpu(point.series)}
        if points:
            held = max(self.hold.of(reading.uid), HELD_PERIODS * reading.period_seconds)
            self._members[reading.uid] = Member(points, reading.gpus, reading.at + held)


def _points(heard: list[Member], size: int) -> Iterator[Point]:
    for series in dict.fromkeys(name for member in heard for name in member.points):
        known = [member for member in heard if series in member.points]
        value = None if series in _OVER else _value(series, known, whole=len(known) == size)
        if value is not None:
            yield Point(series, min(m.points[series].at for m in known), value)
        if series in SPREAD:
            yield from _spread(series, known)


def _spread(series: str, known: list[Member]) -> Iterator[Point]:
    """Yield the most and the least over the GPUs of the group; of a pod with one GPU its figure."""
    at = min(member.points[series].at for member in known)
    for way, extreme in ((Over.MAX, max), (Over.MIN, min)):
        name = over(series, way)
        yield Point(name, at, extreme(m.points.get(name, m.points[series]).value for m in known))


def _gpus(heard: list[Member], size: int) -> Gpus:
    """Return the GPUs of the group; a pod that is silent has as many as the largest of the others.

    A group's pods are of one template, but for their leader.
    """
    if not heard:
        return NO_GPUS
    silent = size - len(heard)
    count = sum(_count(member) for member in heard) + silent * max(map(_count, heard))
    told = dict.fromkeys(name for member in heard for name in member.points)
    known = {name: sum(_weight(m, name) for m in heard if name in m.points) for name in told}
    return Gpus(count, {name: count - n for name, n in known.items() if n < count})


def _count(member: Member) -> int:
    return max(1, member.gpus.count)


def _weight(member: Member, series: str) -> int:
    """Return how many GPUs are behind a figure."""
    return _count(member) - member.gpus.without.get(series, 0)


def _value(series: str, known: list[Member], *, whole: bool) -> float | None:
    values = [member.points[series].value for member in known]
    if series in SUMS:
        return sum(values) if whole else None
    if series in WORST:
        return min(values) if whole or 0.0 in values else None
    weights = [_weight(member, series) for member in known]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def _led(reading: Reading, points: Iterable[Point], gpus: Gpus) -> Reading:
    """Return the leader's reading with the group's GPUs; its own past is not that of the group."""
    own = (point for point in reading.points if not _is_gpu(point.series))
    history = tuple(column for column in reading.history if not _is_gpu(column.series))
    return structs.replace(reading, points=(*own, *points), history=history, gpus=gpus)


def _is_gpu(series: str) -> bool:
    return series.startswith(GPU)
