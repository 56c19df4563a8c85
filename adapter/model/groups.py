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
from adapter.model.fleet import Fleet, Pod
from adapter.model.freshness import HELD_PERIODS
from adapter.model.hold import Hold
from adapter.model.precedence import GPU

SUMS = frozenset({"gpu_memory_used_bytes", "gpu_power_watts"})
WORST = frozenset({"gpu_health"})  # 1 only when every pod says so

GroupKey = tuple[str, str]  # namespace, group


class Member(msgspec.Struct, frozen=True):
    """What one pod of a group last said of its GPUs, and until when that stands."""

    points: Mapping[str, Point]
    gpu_count: int
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
        points = tuple(self._points(group, now))
        if pod.rank == 0:
            yield _led(reading, points)
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
            )

    def _remember(self, reading: Reading) -> None:
        points = {point.series: point for point in reading.points if _is_gpu(point.series)}
        if points:
            held = max(self.hold.of(reading.uid), HELD_PERIODS * reading.period_seconds)
            self._members[reading.uid] = Member(points, reading.gpu_count, reading.at + held)

    def _points(self, group: tuple[Pod, ...], now: float) -> Iterator[Point]:
        members = [m for pod in group if (m := self._members.get(pod.uid)) and m.until > now]
        size = max(len(group), *(pod.group_size for pod in group))
        for series in dict.fromkeys(name for member in members for name in member.points):
            known = [member for member in members if series in member.points]
            value = _value(series, known, whole=len(known) == size)
            if value is not None:
                yield Point(series, min(m.points[series].at for m in known), value)


def _value(series: str, known: list[Member], *, whole: bool) -> float | None:
    values = [member.points[series].value for member in known]
    if series in SUMS:
        return sum(values) if whole else None
    if series in WORST:
        return min(values) if whole or 0.0 in values else None
    weights = [max(1, member.gpu_count) for member in known]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def _led(reading: Reading, points: Iterable[Point]) -> Reading:
    """Return the leader's reading with the group's GPUs; its own past is not that of the group."""
    own = (point for point in reading.points if not _is_gpu(point.series))
    history = tuple(column for column in reading.history if not _is_gpu(column.series))
    return structs.replace(reading, points=(*own, *points), history=history)


def _is_gpu(series: str) -> bool:
    return series.startswith(GPU)
