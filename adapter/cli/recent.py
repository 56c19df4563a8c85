"""The recent: what a workload and its HPA did of late, by the adapter and by the HPA's Events."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from adapter.cli import reach, table
from adapter.cli.reach import Page
from adapter.cluster import Cluster, Json
from adapter.errors import KubeError
from adapter.model import excuses
from adapter.model.decisions import Decision
from adapter.ops.changes import Changes, Told

SHOWN = 5  # of each; -o json has all changes that the adapter keeps
# Of one HPA: equal ones are one Event with a count, and kube-apiserver keeps them for an hour.
_MOST_EVENTS = "500"
_LONG = 100  # characters; shorter ones are no second screen
_FORBIDDEN = 403
_NOT_FOUND = 404
_TIMES = ("lastTimestamp", "eventTime", "firstTimestamp")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Event(msgspec.Struct, frozen=True):
    """One Event of the HPA; `at` (Unix seconds) is when it was last, None where it says no time."""

    at: float | None
    type: str
    reason: str
    message: str
    count: int = 1


class Recent(msgspec.Struct, frozen=True):
    """Both pasts, the newest first; `asked_at` and `since` are Unix seconds.

    `since` is when the replica of the adapter that answered began to look, None where it says
    nothing of the workload.
    """

    asked_at: float
    since: float | None = None
    changes: tuple[Decision, ...] = ()
    events: tuple[Event, ...] = ()

    def lines(self, above: str = "") -> list[str]:
        """Return the section; long words of an Event that stand `above` are not said again."""
        lines = []
        if self.since is not None and not self.changes:
            lines.append(
                f"Nothing changed since the adapter began to look, {self._ago(self.since)}"
            )
        if self.changes:
            lines.append("What changed lately, by the adapter")
            lines += _lines([(self._ago(one.at), one.words) for one in _most(self.changes)])
        if self.events:
            lines.append("What the HPA told lately, by its Events")
            lines += _lines([(self._ago(one.at), _told(one, above)) for one in self.events])
        return lines

    def _ago(self, at: float | None) -> str:
        return "-" if at is None else ago(self.asked_at - at)


async def read(
    page: Page, place: Mapping[str, str], kube: Cluster | None = None, hpa: str = ""
) -> tuple[Recent, list[str]]:
    """Return what is known of the workload at `place` and of its HPA, and what is not, in words."""
    notes: list[str] = []
    told = await _changes(page, place, notes)
    events = await _events(kube, place["namespace"], hpa, notes) if kube else ()
    since, changes = (told.since, told.changes) if told else (None, ())
    return Recent(time.time(), since, changes, events), notes


async def _changes(page: Page, place: Mapping[str, str], notes: list[str]) -> Told | None:
    try:
        return msgspec.convert(await page(Changes.path, place), Told, strict=False)
    except KubeError as error:
        # An adapter that is older has none, and one that did not see the workload neither.
        if error.code != _NOT_FOUND:
            notes.append(f"what changed lately: {reach.told(error)}")
        return None


async def _events(kube: Cluster, namespace: str, hpa: str, notes: list[str]) -> tuple[Event, ...]:
    of = f"involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name={hpa}"
    query = {"fieldSelector": of, "limit": _MOST_EVENTS}
    try:
        found = await kube.get(f"/api/v1/namespaces/{namespace}/events", query)
    except KubeError as error:
        words = f"you need `list` on events in {namespace}"
        said = words if error.code == _FORBIDDEN else reach.told(error)
        notes.append(f"what the HPA told lately: {said}")
        return ()
    events = sorted(map(_event, found.get("items") or ()), key=lambda one: -(one.at or 0.0))
    return tuple(events[:SHOWN])


def _event(found: Json) -> Event:
    series = found.get("series") or {}
    return Event(
        _at(series.get("lastObservedTime"), *(found.get(key) for key in _TIMES)),
        str(found.get("type", "")),
        str(found.get("reason", "")),
        str(found.get("message", ""))[: table.MAX_CHARACTERS],
        int(series.get("count") or found.get("count") or 1),
    )


def _at(*times: str | None) -> float | None:
    said = next(filter(None, times), None)
    return None if said is None else datetime.fromisoformat(said).timestamp()


def _most(changes: Sequence[Decision]) -> list[Decision]:
    """Return as many as are shown: replicas first, since what is asked for may change often."""
    ranked = sorted(changes, key=lambda one: not one.scaled)[:SHOWN]
    return sorted(ranked, key=lambda one: -one.at)


def _told(event: Event, above: str) -> str:
    times = "" if event.count == 1 else f" (x{event.count})"
    normal = "" if event.type == "Normal" else f"{event.type} "
    known = len(event.message) > _LONG and excuses.alike(event.message) in excuses.alike(above)
    return f"{normal}{event.reason}{times}: {'as above' if known else event.message}"


def _lines(rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f"  {line}" for line in table.lines(rows)]


def ago(seconds: float) -> str:
    """Return an age with one unit: seconds below two minutes, days from two days on."""
    past = max(0.0, seconds)  # two machines' clocks
    for unit, size, most in (("s", 1, 120), ("min", _MINUTE, 2 * _HOUR), ("h", _HOUR, 2 * _DAY)):
        if past < most:
            return f"{past / size:.0f} {unit} ago"
    return f"{past / _DAY:.0f} d ago"
