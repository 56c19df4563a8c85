"""Latencies: what the histograms of model servers gained in a window, and the quantile of that.

Of each histogram of a pod the counts of the last reading are kept, and marks of earlier ones: one
every 5 s of the last minute, one every 30 s of ten minutes. A window begins at the mark that is
nearest to its beginning. At most that is 48 marks of 65 counts of 8 bytes, 25 KB; with the 22
bounds that vLLM has it is 9 KB.

No latency comes of a restart, a gap or a new pod: where counts fell, bounds changed, a source began
anew or was silent longer than the hold, the marks begin again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.model.batch import Batch, Buckets, ModelState, Reading
from adapter.model.catalogue import QUANTILES, View
from adapter.model.freshness import HELD_PERIODS
from adapter.model.hold import Hold
from adapter.model.smooth import histogram_quantile
from adapter.model.views import Look

MARK_SECONDS, MINUTE_SECONDS = 5.0, 65.0
OLD_MARK_SECONDS, OLDEST_SECONDS = 30.0, 630.0
MAX_MARKS = 48  # thinned they are at most 35

Floats = NDArray[np.float64]


class Mark(msgspec.Struct, frozen=True, gc=False):
    """Cumulative counts at one time, as 8-byte floats."""

    at: float
    counts: bytes


class Trail(msgspec.Struct, frozen=True, gc=False):
    """One histogram of one pod: the last reading, and marks with the oldest first."""

    life: str
    period_seconds: float
    last: Buckets
    marks: tuple[Mark, ...]


class FrozenTrails(NamedTuple):
    """All trails at one moment, by series and pod UID, and what each pod said last."""

    by_series: Mapping[str, Mapping[str, Trail]]
    latest: Mapping[str, Reading]
    hold: Hold

    def of(self, series: str, uids: Iterable[str]) -> list[Trail | None]:
        """Return each pod's trail up to its last word, None for one without this histogram."""
        trail_of = self.by_series.get(series, {}).get
        return [self._now(series, uid, trail_of(uid)) for uid in uids]

    def _now(self, series: str, uid: str, trail: Trail | None) -> Trail | None:
        reading = self.latest.get(uid)
        buckets = reading.buckets.get(series) if reading else None
        if reading is None or buckets is None:
            return trail
        return _after(trail, reading, buckets, self.hold.of(uid))


class Trails:
    """The histograms of all pods; owned by the tick loop."""

    def __init__(self, hold_seconds: float = 60.0) -> None:
        self.hold = Hold(hold_seconds)
        self._trails: dict[str, dict[str, Trail]] = {}
        self._latest: dict[str, Reading] = {}
        self._due: dict[str, float] = {}  # when each pod's next marks are

    def take(self, batch: Batch) -> None:
        """Take in the histograms of the batch; a model that loads again begins anew."""
        for reading in batch.readings:
            uid = reading.uid
            if reading.model is ModelState.LOADING:
                self._drop((uid,))
            elif reading.buckets:
                # Of a frame a second only what comes between marks is kept: a reference.
                self._latest[uid] = reading
                if reading.at >= self._due.get(uid, 0.0):
                    self._due[uid] = reading.at + MARK_SECONDS
                    self._mark(reading)

    def forget(self, keep: Iterable[str]) -> None:
        """Drop every pod UID that is not in `keep`."""
        self._drop(self._latest.keys() - set(keep))

    def freeze(self) -> FrozenTrails:
        """Return a copy that does not change."""
        trails = {series: dict(found) for series, found in self._trails.items()}
        return FrozenTrails(trails, dict(self._latest), self.hold)

    def _mark(self, reading: Reading) -> None:
        hold_seconds = self.hold.of(reading.uid)
        for series, buckets in reading.buckets.items():
            trails = self._trails.setdefault(series, {})
            before = trails.get(reading.uid)
            trails[reading.uid] = _after(before, reading, buckets, hold_seconds)

    def _drop(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self._latest.pop(uid, None)
            self._due.pop(uid, None)
            for trails in self._trails.values():
                trails.pop(uid, None)


def _after(trail: Trail | None, reading: Reading, now: Buckets, hold_seconds: float) -> Trail:
    """Return the trail with this reading as its last, begun anew where it does not go on."""
    life, period = reading.life, reading.period_seconds
    if trail is None or trail.life != life or not _goes_on(trail, now, hold_seconds):
        return Trail(life, period, now, (_mark(now),))
    if now.at <= trail.last.at:
        return trail
    marks = trail.marks
    if now.at - marks[-1].at >= MARK_SECONDS:
        marks = (*marks, _mark(now))
        if len(marks) >= MAX_MARKS:  # about once a minute: what is thinned is a third
            marks = _thinned(marks, now.at)
    return Trail(life, period, now, marks)


def _goes_on(trail: Trail, now: Buckets, hold_seconds: float) -> bool:
    silent = now.at - trail.last.at > max(hold_seconds, HELD_PERIODS * trail.period_seconds)
    fell = now.counts[-1] < trail.last.counts[-1]
    return not silent and not fell and now.bounds == trail.last.bounds


def quantiles(trails: Sequence[Trail | None], view: View) -> Look:
    """Return each pod's quantile over the window, NaN without an observation in it."""
    found, seconds = np.full(len(trails), np.nan), np.zeros(len(trails))
    for bounds, places, gained in _by_bounds(trails, view.window_seconds):
        found[places] = histogram_quantile(np.array(bounds), gained, QUANTILES[view.stat])
    for place, trail in enumerate(trails):
        if trail is not None:
            seconds[place] = trail.last.at - _beginning(trail, view.window_seconds).at
    return Look(found, seconds)


def merged(trails: Sequence[Trail], view: View) -> float:
    """Return the quantile of all pods' observations together, NaN without one.

    Histograms of different bounds are added up at the bounds that all have: a cumulative count says
    the same at its bound whatever the others are. Raises ValueError where there is no such bound.
    """
    groups = list(_by_bounds(trails, view.window_seconds))
    shared = sorted(set.intersection(*(set(bounds) for bounds, _, _ in groups))) if groups else []
    if not shared:
        raise ValueError("the pods' histograms have no bucket in common")
    counts = np.zeros((1, len(shared) + 1))
    for bounds, _, gained in groups:
        places = [*np.searchsorted(bounds, shared).tolist(), len(bounds)]
        counts += gained.sum(axis=0)[places]
    return float(histogram_quantile(np.array(shared), counts, QUANTILES[view.stat])[0])


def _by_bounds(
    trails: Sequence[Trail | None], window_seconds: int
) -> Iterator[tuple[tuple[float, ...], list[int], Floats]]:
    """Yield bounds, the places of the trails that have them, and what their counts gained."""
    groups: dict[tuple[float, ...], list[int]] = {}
    for place, trail in enumerate(trails):
        if trail is not None:
            groups.setdefault(trail.last.bounds, []).append(place)
    for bounds, places in groups.items():
        here = [trail for trail in (trails[place] for place in places) if trail is not None]
        last = np.array([trail.last.counts for trail in here])
        begun = b"".join([_beginning(trail, window_seconds).counts for trail in here])
        # Of a tenant that makes single buckets fall nothing is gained there.
        gained = np.maximum(last - np.frombuffer(begun).reshape(last.shape), 0.0)
        yield bounds, places, gained


def _beginning(trail: Trail, window_seconds: int) -> Mark:
    """Return the mark that is nearest to the beginning of the window."""
    marks, begin = trail.marks, trail.last.at - window_seconds
    after = bisect_left(marks, begin, key=_at)
    if after == 0:
        return marks[0]
    if after == len(marks) or begin - marks[after - 1].at <= marks[after].at - begin:
        return marks[after - 1]
    return marks[after]


def _at(mark: Mark) -> float:
    return mark.at


def _mark(buckets: Buckets) -> Mark:
    return Mark(buckets.at, array("d", buckets.counts).tobytes())


def _thinned(marks: tuple[Mark, ...], now: float) -> tuple[Mark, ...]:
    kept: list[Mark] = []
    for mark in marks:
        age = now - mark.at
        spaced = not kept or mark.at - kept[-1].at >= OLD_MARK_SECONDS
        if age <= MINUTE_SECONDS or (spaced and age <= OLDEST_SECONDS):
            kept.append(mark)
    return tuple(kept)
