"""The Snapshot: everything an answer needs, frozen at one tick and swapped in as one reference."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.errors import NoValue
from adapter.model import fleet as fleets
from adapter.model import smooth
from adapter.model.catalogue import Metric, Stat, View
from adapter.model.fleet import Fleet, Pod, Standing
from adapter.model.freshness import Freshness
from adapter.model.quantity import to_milli
from adapter.model.selector import Selector
from adapter.model.source import NEW, Source
from adapter.model.window import COARSE_SECONDS, FINE_SLOTS, FrozenWindow

NAMED_IN_ERRORS = 3  # pods named in one error text; the rest are counted


class Item(msgspec.Struct, frozen=True, gc=False):
    """One value of an answer; `taken_at` is Unix seconds, `window_seconds` 0 for a raw reading."""

    name: str
    milli: int
    taken_at: float
    window_seconds: int


class TotalKey(msgspec.Struct, frozen=True):
    """One total that was asked for."""

    namespace: str
    kind: str
    name: str
    metric: str
    view: View


class Level(msgspec.Struct, frozen=True, gc=False):
    """One pod's value in one view, with how far it can be trusted."""

    pod: Pod
    value: float
    at: float  # monotonic seconds
    freshness: Freshness


class Levels(NamedTuple):
    """One view of every row: value (NaN where there is none), monotonic seconds, freshness.

    Lists, not arrays: an answer reads them pod by pod, and a list gives up a number ten times as
    fast.
    """

    place: Mapping[str, int]  # pod UID -> where in the lists
    values: list[float]
    at: list[float]
    freshness: list[Freshness]


_GRADES = tuple(Freshness)
_NO_ROWS: tuple[Mapping[str, int], NDArray[np.int64]] = ({}, np.array([], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The world at one tick. `at` is monotonic, `wall` Unix seconds, both of the same moment."""

    at: float
    wall: float
    fleet: Fleet
    standings: Mapping[str, Standing]
    sources: Mapping[str, Source]
    window: FrozenWindow
    grades: NDArray[np.int8]
    complete: Mapping[TotalKey, float]  # the last total that no pod was missing from
    debuts: Collection[str] = ()  # UIDs of pods that turned serving a moment ago
    _levels: dict[tuple[View, str], Levels] = field(default_factory=dict)

    def pods(
        self, metric: Metric, view: View, namespace: str, selector: Selector, name: str | None
    ) -> tuple[Item, ...]:
        """Return one item per pod that matches and has a value; empty when no pod matches.

        Raises NoValue when pods match but fewer than half of those that should have a value do.
        """
        matched = [
            pod
            for pod in self.fleet.by_namespace.get(namespace, ())
            if (name is None or pod.name == name) and selector.matches(pod.labels)
        ]
        if not matched:
            return ()
        levels, _ = self._quorate(metric, view, matched)
        items = (self._item(level.pod.name, level.value, level.at, view) for level in levels)
        return tuple(item for item in items if item is not None)

    def total(self, metric: Metric, key: TotalKey) -> Item | None:
        """Return the sum over the workload's pods; None when the workload has no pod with a source.

        While an expected pod is not fresh the total is the largest of the last complete one, the
        fresh sum scaled up to all expected pods, and the sum with held values: silence never lowers
        it. Raises NoValue below the quorum.
        """
        owned = self.owned(key.namespace, key.kind, key.name)
        if not owned:
            return None
        levels, expected = self._quorate(metric, key.view, owned)
        value = _total(levels, expected, self.complete.get(key))
        return self._item(key.name, value, min(level.at for level in levels), key.view)

    def complete_total(self, metric: Metric, key: TotalKey) -> float | None:
        """Return the sum when every pod that a value is expected of is fresh, else None."""
        serving = self._serving(self.owned(key.namespace, key.kind, key.name))
        known = self._known(metric, key.view, serving)
        fresh = [level.value for level in known if level.freshness is Freshness.FRESH]
        return sum(fresh) if fresh and len(fresh) == self._expected(serving, known) else None

    def owned(self, namespace: str, kind: str, name: str) -> tuple[Pod, ...]:
        """Return the workload's pods that have a source."""
        return self.fleet.by_owner.get((namespace, fleets.Owner(kind, name)), ())

    def levels(self, view: View, series: str) -> Levels:
        """Return every row of the series in one view; computed once."""
        found = self._levels.get((view, series))
        if found is None:
            place, rows = self.window.by_series.get(series, _NO_ROWS)
            freshness = [_GRADES[grade] for grade in self.grades[rows].tolist()]
            at = self.window.last_at[rows].tolist()
            found = Levels(place, self._look(view, rows).tolist(), at, freshness)
            self._levels[view, series] = found
        return found

    def _look(self, view: View, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        if view.stat is Stat.RAW:
            return self.window.last_value[rows]
        if view.stat is Stat.EWMA:
            return self._ewma(view.window_seconds, rows)
        if view.window_seconds <= FINE_SLOTS:
            recent = self.window.fine[:, -view.window_seconds :]
            return smooth.mean(recent[rows], view.window_seconds)
        steps = view.window_seconds // COARSE_SECONDS
        return smooth.mean(self.window.coarse[:, -steps:][rows], steps)

    def _ewma(self, half_life_seconds: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        # Four half-lives of one-second steps fit the minute up to a half-life of 15 s.
        if 4 * half_life_seconds <= FINE_SLOTS:
            return smooth.ewma(self.window.fine[rows], half_life_seconds)
        return smooth.ewma(self.window.coarse[rows], half_life_seconds / COARSE_SECONDS)

    def _serving(self, pods: Iterable[Pod]) -> list[Pod]:
        return [pod for pod in pods if self.standings[pod.uid] is Standing.SERVING]

    def _expected(self, serving: Iterable[Pod], known: Iterable[Level]) -> int:
        """Count the pods that a value is expected of: a debutant counts once it has one."""
        have = {level.pod.uid for level in known}
        return sum(pod.uid in have or pod.uid not in self.debuts for pod in serving)

    def _known(self, metric: Metric, view: View, pods: Iterable[Pod]) -> list[Level]:
        place, values, at, freshness = self.levels(view, metric.series)
        row_of, gone = place.get, Freshness.GONE
        found = []
        for pod in pods:
            row = row_of(pod.uid)
            if row is None or freshness[row] is gone or math.isnan(values[row]):
                continue
            found.append(Level(pod, values[row], at[row], freshness[row]))
        return found

    def _quorate(self, metric: Metric, view: View, pods: Sequence[Pod]) -> tuple[list[Level], int]:
        """Return the known values and how many are expected; raise NoValue for too few."""
        serving = self._serving(pods)
        if not serving:
            raise NoValue(f"{metric.name} has no value: {self._standing_words(pods)}")
        known = self._known(metric, view, serving)
        expected = self._expected(serving, known)
        if not known or 2 * len(known) < expected:
            raise NoValue(self._blind_words(metric, serving, known))
        return known, expected

    def _item(self, name: str, value: float, at: float, view: View) -> Item | None:
        milli = to_milli(value)
        if milli is None:
            return None
        window = 0 if view.stat is Stat.RAW else view.window_seconds
        return Item(name, milli, self.wall - (self.at - at), window)

    def _standing_words(self, pods: Sequence[Pod]) -> str:
        words = {
            Standing.LOADING: "still loading its model",
            Standing.WAITING: "not running yet",
            Standing.ENDED: "ending or ended",
        }
        told = []
        for pod in pods[:NAMED_IN_ERRORS]:
            standing = self.standings[pod.uid]
            excuse = self.sources.get(pod.uid, NEW).excuse("engine")
            why = f" ({excuse})" if excuse and standing is Standing.LOADING else ""
            told.append(f"pod {pod.name} is {words[standing]}{why}")
        return _listed(told, len(pods))

    def _blind_words(self, metric: Metric, expected: list[Pod], known: list[Level]) -> str:
        have = {level.pod.uid for level in known}
        silent = [pod for pod in expected if pod.uid not in have]
        told = [f"{p.name}: {self._silence(metric, p)}" for p in silent[:NAMED_IN_ERRORS]]
        return (
            f"{metric.name} is known for {len(known)} of {len(expected)} pods,"
            f" fewer than half: {_listed(told, len(silent))}"
        )

    def _silence(self, metric: Metric, pod: Pod) -> str:
        source = self.sources.get(pod.uid, NEW)
        excuse = source.excuse(metric.series)
        row = self.window.rows.get((pod.uid, metric.series))
        if row is not None and not np.isnan(self.window.last_at[row]):
            age = f"no reading for {self.at - self.window.last_at[row]:.0f} s"
            return f"{age} ({excuse})" if excuse else age
        if source.heard_at is None:
            return excuse or "its source has not been heard yet"
        return excuse or "its source does not read this"


def _total(levels: list[Level], expected: int, last_complete: float | None) -> float:
    fresh = [level.value for level in levels if level.freshness is Freshness.FRESH]
    if len(fresh) == expected:
        return sum(fresh)
    witnesses = fresh or [level.value for level in levels]
    scaled = sum(witnesses) * expected / len(witnesses)
    return max(scaled, sum(level.value for level in levels), last_complete or 0.0)


def _listed(told: list[str], count: int) -> str:
    more = count - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")
