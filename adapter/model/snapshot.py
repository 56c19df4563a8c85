"""The Snapshot: everything an answer needs, frozen at one tick and swapped in as one reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.errors import NoValue
from adapter.model import exits
from adapter.model.catalogue import Metric, Stat, View
from adapter.model.fleet import Fleet, Group, Pod, Standing
from adapter.model.freshness import Freshness
from adapter.model.precedence import GPU
from adapter.model.quantity import is_quantity, to_milli
from adapter.model.rows import NO_ROW, NONE
from adapter.model.selector import Selector
from adapter.model.source import NEW, Source
from adapter.model.views import look
from adapter.model.window import FrozenWindow

Floats = NDArray[np.float64]

NAMED_IN_ERRORS = 3  # pods named in one error text; the rest are counted
_STANDING_WORDS = {
    Standing.LOADING: "still loading its model",
    Standing.WAITING: "not running yet",
    Standing.ENDED: "ending or ended",
}


class Answer(NamedTuple):
    """The values of one query, column by column: who, in thousandths, read when (Unix seconds).

    `window_seconds` is 0 for raw readings.
    """

    names: Sequence[str]
    milli: list[int]
    taken_at: list[float]
    window_seconds: int


NO_ANSWER = Answer((), [], [], 0)


class TotalKey(msgspec.Struct, frozen=True):
    """One total that was asked for."""

    namespace: str
    kind: str
    name: str
    metric: str
    view: View


class Levels(NamedTuple):
    """One view of one series for every pod, in the fleet's order; NaN where there is no value.

    `at` is monotonic seconds, `known` says which values may be served.
    """

    values: Floats
    at: Floats
    known: NDArray[np.bool_]
    fresh: NDArray[np.bool_]


class Sight(NamedTuple):
    """What is known of a group: of which of its pods (numbers within it), and how many should be.

    `serving` marks the pods that could have a value.
    """

    seen: NDArray[np.int64]
    values: Floats
    at: Floats
    fresh: NDArray[np.bool_]
    expected: int
    serving: NDArray[np.bool_]

    def complete(self) -> bool:
        """Return whether every expected pod is fresh, and there is one."""
        return 0 < self.expected == np.count_nonzero(self.fresh)


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
    serving: NDArray[np.bool_]  # in the fleet's order, as is `debuting`
    debuting: NDArray[np.bool_]  # turned serving a moment ago
    complete: Mapping[TotalKey, float]  # the last total that no pod was missing from
    _levels: dict[tuple[View, str], Levels] = field(default_factory=dict)

    def pods(
        self, metric: Metric, view: View, namespace: str, selector: Selector, name: str | None
    ) -> Answer:
        """Return one value per pod that matches and has one; empty when no pod matches.

        Raises NoValue when pods match but fewer than half of those that should have a value do.
        """
        group = _readable(metric, self.fleet.matching(namespace, selector))
        if name is not None:
            group = group.named(name)
        if not group.pods:
            return NO_ANSWER
        sight = self._quorate(metric, view, group)
        names = group.names
        if len(sight.seen) < len(names):
            names = tuple(names[number] for number in sight.seen.tolist())
        return self._answer(names, sight.values, sight.at, view)

    def total(self, metric: Metric, key: TotalKey) -> Answer:
        """Return the sum over the workload's pods; empty when it has no pod with a source.

        While an expected pod is not fresh the total is the largest of the last complete one, the
        fresh sum scaled up to all expected pods, and the sum with held values: silence never lowers
        it. Raises NoValue below the quorum.
        """
        group = _readable(metric, self.fleet.owned(key.namespace, key.kind, key.name))
        if not group.pods:
            return NO_ANSWER
        sight = self._quorate(metric, key.view, group)
        value = _total(sight, self.complete.get(key))
        return self._answer((key.name,), np.array([value]), sight.at.min(keepdims=True), key.view)

    def complete_total(self, metric: Metric, key: TotalKey) -> float | None:
        """Return the sum when every pod that a value is expected of is fresh, else None."""
        group = _readable(metric, self.fleet.owned(key.namespace, key.kind, key.name))
        sight = self._sight(metric, key.view, group)
        return float(sight.values.sum()) if sight.complete() else None

    def levels(self, view: View, series: str) -> Levels:
        """Return every pod's level of the series in one view; computed once."""
        found = self._levels.get((view, series))
        if found is None:
            found = self._levels[view, series] = self._leveled(view, series)
        return found

    def _leveled(self, view: View, series: str) -> Levels:
        rows = self.window.by_series.get(series, NONE).of(self.fleet)
        have = rows != NO_ROW
        values = np.full(len(rows), np.nan)
        values[have] = look(view, self.window, rows[have])
        grades = self.grades[rows]  # without a row those of another one, which `have` masks
        known = have & (grades < Freshness.GONE) & is_quantity(values)
        fresh = known & (grades == Freshness.FRESH)
        return Levels(values, self.window.last_at[rows], known, fresh)

    def _sight(self, metric: Metric, view: View, group: Group) -> Sight:
        levels = self.levels(view, metric.series)
        serving = self.serving[group.places]
        known = serving & levels.known[group.places]
        # A debutant counts once it has a value.
        expected = known | (serving & ~self.debuting[group.places])
        seen = known.nonzero()[0]
        places = group.places[seen]
        return Sight(
            seen,
            levels.values[places],
            levels.at[places],
            levels.fresh[places],
            int(np.count_nonzero(expected)),
            serving,
        )

    def _quorate(self, metric: Metric, view: View, group: Group) -> Sight:
        """Return what is known of the group; raise NoValue for too little."""
        sight = self._sight(metric, view, group)
        if not sight.serving.any():
            raise NoValue(f"{metric.name} has no value: {self._standing_words(metric, group.pods)}")
        if not len(sight.seen) or 2 * len(sight.seen) < sight.expected:
            raise NoValue(self._blind_words(metric, group, sight))
        return sight

    def _answer(self, names: Sequence[str], values: Floats, at: Floats, view: View) -> Answer:
        window = 0 if view.stat is Stat.RAW else view.window_seconds
        taken_at = self.wall - (self.at - at)
        return Answer(names, to_milli(values).tolist(), taken_at.tolist(), window)

    def excuse(self, metric: Metric, pod: Pod) -> str:
        """Return in words why the pod has no value of the metric."""
        standing = self.standings[pod.uid]
        if standing is Standing.SERVING:
            return self._silence(metric, pod)
        said = _with_exit(self.sources.get(pod.uid, NEW).excuse("engine"), pod)
        why = f" ({said})" if said and standing is Standing.LOADING else ""
        return f"is {_STANDING_WORDS[standing]}{why}"

    def _standing_words(self, metric: Metric, pods: Sequence[Pod]) -> str:
        told = [f"pod {pod.name} {self.excuse(metric, pod)}" for pod in pods[:NAMED_IN_ERRORS]]
        return _listed(told, len(pods))

    def _blind_words(self, metric: Metric, group: Group, sight: Sight) -> str:
        silent = np.setdiff1d(sight.serving.nonzero()[0], sight.seen).tolist()
        pods = [group.pods[number] for number in silent[:NAMED_IN_ERRORS]]
        told = [f"{pod.name}: {self._silence(metric, pod)}" for pod in pods]
        known = len(sight.seen)
        return (
            f"{metric.name} is known for {known} of {known + len(silent)} pods,"
            f" fewer than half: {_listed(told, len(silent))}"
        )

    def _silence(self, metric: Metric, pod: Pod) -> str:
        source = self.sources.get(pod.uid, NEW)
        excuse = _with_exit(source.excuse(metric.series), pod)
        row = self.window.rows.get((pod.uid, metric.series))
        if row is not None and not np.isnan(self.window.last_at[row]):
            age = f"no reading for {self.at - self.window.last_at[row]:.0f} s"
            return f"{age} ({excuse})" if excuse else age
        if source.heard_at is None:
            return excuse or "its source has not been heard yet"
        return excuse or "its source does not read this"


def _readable(metric: Metric, group: Group) -> Group:
    """Return the pods that can have this metric: a node source tells of GPUs alone."""
    return group if metric.series.startswith(GPU) else group.read()


def _total(sight: Sight, last_complete: float | None) -> float:
    known = float(sight.values.sum())
    if sight.complete():
        return known
    witnesses = sight.values[sight.fresh] if sight.fresh.any() else sight.values
    scaled = float(witnesses.sum()) * sight.expected / len(witnesses)
    return max(scaled, known, last_complete or 0.0)


def _with_exit(excuse: str | None, pod: Pod) -> str | None:
    return "; ".join(filter(None, (excuse, exits.words(pod)))) or None


def _listed(told: list[str], count: int) -> str:
    more = count - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")
