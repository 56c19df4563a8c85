"""The Snapshot: everything an answer needs, frozen at one tick and swapped in as one reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.errors import NoValue
from adapter.model import excuses, latency
from adapter.model.catalogue import HISTOGRAMS, Agg, Metric, View
from adapter.model.debut import Debuting
from adapter.model.fleet import Fleet, Pod, Standing
from adapter.model.foreseen import Foreseen
from adapter.model.freshness import HELD_PERIODS, Freshness, grade
from adapter.model.latency import FrozenTrails
from adapter.model.precedence import GPU
from adapter.model.quantity import is_quantity, to_milli
from adapter.model.rows import NO_ROW, Integers, chosen
from adapter.model.selection import Group
from adapter.model.selector import Selector
from adapter.model.sight import Floats, Levels, Sight, one_value, together
from adapter.model.source import NEW, Dims, Source
from adapter.model.views import look
from adapter.model.window import FrozenWindow


class Answer(NamedTuple):
    """The values of one query, column by column: who, in thousandths, read when (Unix seconds).

    `window_seconds` is 0 for raw readings. `windows` is None where it is the same for all: a pod
    that is younger than the window has a shorter one.
    """

    names: Sequence[str]
    milli: list[int]
    taken_at: list[float]
    window_seconds: int
    windows: list[int] | None = None

    @classmethod
    def joined(cls, answers: Sequence[Answer]) -> Answer:
        """Return the answers, all in one view, as one."""
        if not answers:
            return NO_ANSWER
        return cls(
            [name for answer in answers for name in answer.names],
            [milli for answer in answers for milli in answer.milli],
            [at for answer in answers for at in answer.taken_at],
            *_windows([seconds for answer in answers for seconds in answer.each_window()]),
        )

    def each_window(self) -> list[int]:
        """Return the window of each value."""
        return self.windows or [self.window_seconds] * len(self.names)


NO_ANSWER = Answer((), [], [], 0)

# A look at one view takes 55 us, and 0.5 us more for each pod: each look is as dear as these pods.
_LOOK_IN_PODS = 110


class TotalKey(msgspec.Struct, frozen=True):
    """One object that was asked for as a whole; `kind` is qualified, as in Owner."""

    namespace: str
    kind: str
    name: str
    metric: str
    view: View
    dims: Dims = ()
    agg: Agg = Agg.SUM


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The world at one tick. `at` is monotonic, `wall` Unix seconds, both of the same moment."""

    at: float
    wall: float
    fleet: Fleet
    standings: Mapping[str, Standing]
    sources: Mapping[str, Source]
    window: FrozenWindow
    trails: FrozenTrails
    grades: NDArray[np.int8]
    serving: NDArray[np.bool_]  # in the fleet's order
    debuting: Debuting
    complete: Mapping[TotalKey, float]  # the last total that no pod was missing from
    foreseen: Mapping[TotalKey, Foreseen] = field(default_factory=dict)
    _levels: dict[tuple[View, str], Levels] = field(default_factory=dict)
    _looked: dict[tuple[View, str], int] = field(default_factory=dict)  # at how many pods so far

    def pods(
        self,
        metric: Metric,
        view: View,
        namespace: str,
        selector: Selector,
        name: str | None,
        *,
        dims: Dims = (),
    ) -> Answer:
        """Return one value per pod that matches and has one; empty when no pod matches.

        Raises NoValue when pods match and fewer than their quorum of those that should have one do.
        """
        group = _readable(metric, self.fleet.matching(namespace, selector))
        if name is not None:
            group = group.named(name)
        if not group.pods:
            return NO_ANSWER
        group = self._of_dims(group, dims)
        sight = self._quorate(metric, view, group)
        names = group.names
        if len(sight.seen) < len(names):
            names = tuple(names[number] for number in sight.seen.tolist())
        return self._answer(names, sight.values, sight.at, sight.seconds)

    def total(self, metric: Metric, key: TotalKey) -> Answer:
        """Return the object's value, `key.agg` over its pods; empty where none has a source.

        While an expected pod is not fresh it is the largest of the last complete one, that of the
        fresh pods (a sum scaled up to all expected ones), and that with held values: silence never
        lowers it. Raises NoValue below the quorum.
        """
        group = self.owned(metric, key)
        if not group.pods:
            return NO_ANSWER
        group = self._of_dims(group, key.dims)
        sight = self._quorate(metric, key.view, group)
        value = one_value(sight, key.agg, self.complete.get(key))
        return self._answer((key.name,), *together(value, sight))

    def merged(self, metric: Metric, key: TotalKey) -> Answer:
        """Return the quantile of all that the workload's pods measured; empty without such a pod.

        Raises NoValue below the quorum, and where the pods' histograms cannot be added up.
        """
        group = self.owned(metric, key)
        if not group.pods:
            return NO_ANSWER
        group = self._of_dims(group, key.dims)
        sight = self._quorate(metric, key.view, group)
        uids = [group.pods[number].uid for number in sight.seen.tolist()]
        trails = [trail for trail in self.trails.of(metric.series, uids) if trail]
        try:
            value = latency.merged(trails, key.view)
        except ValueError as error:
            raise NoValue(f"{metric.name} has no value: {error}") from error
        return self._answer((key.name,), *together(value, sight))

    def owned(self, metric: Metric, key: TotalKey) -> Group:
        """Return the object's pods that can have the metric."""
        return _readable(metric, self.fleet.owned(key.namespace, key.kind, key.name))

    def _of_dims(self, group: Group, dims: Dims) -> Group:
        """Return the pods whose sources say so, or were not heard yet; raise NoValue for none."""
        found = self.saying(group, dims)
        if found.pods or not self.serving[group.places].any():
            return found if found.pods else group
        sources = (self.sources.get(pod.uid, NEW) for pod in group.pods)
        raise NoValue(excuses.dims(dims, sources))

    def saying(self, group: Group, dims: Dims) -> Group:
        """Return the pods whose sources say so, or were not heard yet."""
        if not dims:
            return group
        says = (self.sources.get(pod.uid, NEW).may_serve(dims) for pod in group.pods)
        return group.chosen(np.fromiter(says, np.bool_, len(group.pods)))

    def levels(self, view: View, series: str, places: Integers) -> Levels:
        """Return the levels of the series in one view, of the pods at these places in their order.

        A view that many ask for is worked out once, for all pods; one that is asked for of a few,
        for those: whoever makes up views pays for his own pods, not for those of the cluster.
        """
        if series in HISTOGRAMS:
            return self._observed(view, series, places)
        whole = self._levels.get((view, series))
        if whole is None and self._is_rare(view, series, len(places)):
            return self._leveled(view, series, places)
        if whole is None:
            whole = self._leveled(view, series, np.arange(len(self.serving)))
            self._levels[view, series] = whole
        return whole.of(places)

    def _is_rare(self, view: View, series: str, pods: int) -> bool:
        """Return whether all looks at a view, this one included, cost less than one at all pods."""
        looked = self._looked.get((view, series), 0) + _LOOK_IN_PODS + pods
        self._looked[view, series] = looked
        return looked < len(self.serving)

    def _leveled(self, view: View, series: str, places: Integers) -> Levels:
        rows = chosen(self.window.by_series, series, view.over, self.fleet)[places]
        have = rows != NO_ROW
        values, seconds = np.full(len(rows), np.nan), np.zeros(len(rows))
        values[have], seconds[have] = look(view, self.window, rows[have])
        grades = self.grades[rows]  # without a row those of another one, which `have` masks
        known = have & (grades < Freshness.GONE) & is_quantity(values)
        fresh = known & (grades == Freshness.FRESH)
        at, idle = self.window.last_at[rows], np.zeros_like(known)
        return Levels(values, at, known, fresh, idle, seconds)

    def _observed(self, view: View, series: str, places: Integers) -> Levels:
        """Return the quantiles of the pods' histograms.

        A pod that served nobody in the window is idle. A pod costs 5 us, so no other is looked at.
        """
        uids = [self.fleet.ordered[place].uid for place in places.tolist()]
        trails = self.trails.of(series, uids)
        at = np.array([trail.last.at if trail else np.nan for trail in trails])
        period = np.array([trail.period_seconds if trail else np.nan for trail in trails])
        grades = grade(self.at - at, period, self.trails.hold.each(uids))
        values, seconds = latency.quantiles(trails, view)
        heard = grades < Freshness.GONE
        known = heard & is_quantity(values)
        fresh = known & (grades == Freshness.FRESH)
        return Levels(values, at, known, fresh, heard & ~known, seconds)

    def _sight(self, metric: Metric, view: View, group: Group) -> Sight:
        levels = self.levels(view, metric.series, group.places)
        serving = self.serving[group.places]
        known, idle = serving & levels.known, serving & levels.idle
        # A debutant counts once it has a value.
        expected = known | (serving & ~idle & ~self.debuting.of(metric.series)[group.places])
        seen = known.nonzero()[0]
        return Sight(
            seen,
            levels.values[seen],
            levels.at[seen],
            levels.fresh[seen],
            int(np.count_nonzero(expected)),
            serving,
            idle,
            levels.seconds[seen],
        )

    def _quorate(self, metric: Metric, view: View, group: Group) -> Sight:
        """Return what is known of the group; raise NoValue for too little."""
        sight = self._sight(metric, view, group)
        if not sight.serving.any():
            pods = group.pods[: excuses.NAMED]
            told = [f"pod {pod.name} {self.excuse(metric, pod)}" for pod in pods]
            words = excuses.listed(told, len(group.pods))
            raise NoValue(f"{metric.name} has no value: {words}")
        if sight.idle.any() and not sight.expected:
            raise NoValue(f"{metric.name} has no value: {excuses.IDLE} of {view.window_seconds} s")
        known_percent = 100.0 * len(sight.seen)
        if not len(sight.seen) or known_percent < group.quorum_percent * sight.expected:
            raise NoValue(self._blind_words(metric, group, sight))
        return sight

    def _answer(self, names: Sequence[str], values: Floats, at: Floats, seconds: Floats) -> Answer:
        taken_at = self.wall - (self.at - at)
        windows = _windows(np.rint(seconds).astype(np.int64).tolist())
        return Answer(names, to_milli(values).tolist(), taken_at.tolist(), *windows)

    def excuse(self, metric: Metric, pod: Pod) -> str:
        """Return in words why the pod has no value of the metric."""
        standing, source = self.standings[pod.uid], self.sources.get(pod.uid, NEW)
        if standing is not Standing.SERVING:
            return excuses.standing(pod, standing, source)
        (trail,) = self.trails.of(metric.series, (pod.uid,))
        row = self.window.rows.get((pod.uid, metric.series), NO_ROW)
        at = float(self.window.last_at[row]) if row != NO_ROW else np.nan
        age = self.at - (trail.last.at if trail else at)
        held = self.trails.hold.of(pod.uid)
        if trail and age <= max(held, HELD_PERIODS * trail.period_seconds):
            return excuses.IDLE
        return excuses.silence(pod, source, metric.series, None if np.isnan(age) else age)

    def _blind_words(self, metric: Metric, group: Group, sight: Sight) -> str:
        missing = (sight.serving & ~sight.idle).nonzero()[0]
        silent = np.setdiff1d(missing, sight.seen).tolist()
        pods = [group.pods[number] for number in silent[: excuses.LOOKED]]
        told = [(pod.name, self.excuse(metric, pod)) for pod in pods]
        known = len(sight.seen)
        return (
            f"{metric.name} is known for {known} of {known + len(silent)} pods,"
            f" fewer than {excuses.share(group.quorum_percent)}:"
            f" {excuses.grouped(told, len(silent))}"
        )


def _windows(seconds: list[int]) -> tuple[int, list[int] | None]:
    """Return the longest window, and all of them where they are not the same."""
    longest = max(seconds)
    return longest, None if min(seconds) == longest else seconds


def _readable(metric: Metric, group: Group) -> Group:
    """Return the pods that can have this metric: a node source tells of GPUs alone."""
    return group if metric.series.startswith(GPU) else group.read()
