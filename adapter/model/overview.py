"""The overview: one row a workload, as the status page shows it, and the sources of all pods.

It reads the Snapshot and decides nothing itself: its figures are those that a query would get.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import msgspec
import numpy as np

from adapter.errors import NoValue
from adapter.model import excuses
from adapter.model.catalogue import METRICS, RAW, Agg, Metric, View
from adapter.model.desired import asked
from adapter.model.fleet import Fleet, Object, Owner, Pod, Standing
from adapter.model.foreseen import Foreseen
from adapter.model.rows import NO_ROW, NONE
from adapter.model.selection import NOBODY, Group
from adapter.model.selector import EVERYTHING
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.source import NEW
from adapter.model.target import DEMANDS, Target, strictest

MAX_WORKLOADS = 100
MAX_LEFT = 10  # pods of one workload that are named; the rest are counted
POD = "Pod"

PENDING = METRICS["llm_inference_pending_requests"]
GPU = METRICS["nvidia_gpu_utilization"]
# What a workload's chart is of: its target's demand, or else the first of these that is read.
_USUAL = (METRICS[DEMANDS["inflight"]], PENDING, GPU)
_STARTING = (Standing.LOADING, Standing.WAITING)


class Left(msgspec.Struct, frozen=True):
    """One pod without a value, and why."""

    pod: str
    why: str


class Ask(msgspec.Struct, frozen=True):
    """What one target asks for; figures are None where its total has no value, and why.

    `acting_milli` is the total as it is divided: a forecast that acts may have raised it.
    """

    target: Target
    total_milli: int | None
    acting_milli: int | None
    replicas: int | None
    why: str | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One workload. Each of its pods counts once: served, held, loading or omitted.

    `observed` and `smoothed` are its total of `demand`, as last read and in the metric's own view;
    figures are None where a query would get none, `why` says why. `target` is what one pod is to
    carry, in the metric's unit; `desired` what all targets ask for, as it is served.
    """

    workload: Object
    replicas: int  # that have not ended
    served: int  # with a fresh value
    held: int  # with the last value of a source that is silent for a moment
    loading: int  # on their way to serving
    omitted: int
    demand: Metric
    observed: float | None
    smoothed: float | None
    why: str | None
    pending: float | None
    gpu_percent: float | None  # mean over its pods
    target: float | None
    desired: int | None
    foreseen: Foreseen | None
    left: tuple[Left, ...]
    asks: tuple[Ask, ...] = ()  # one for each target
    gpus_per_pod: int | None = None  # None where pods ask for none, for shared ones, or disagree

    @property
    def left_more(self) -> int:
        """How many pods without a value are not named in `left`."""
        return self.loading + self.omitted - len(self.left)

    @property
    def carries(self) -> float | None:
        """What the pods that serve are to carry together; None without a target."""
        serving = self.served + self.held
        return None if self.target is None else self.target * serving


class SourceRow(msgspec.Struct, frozen=True):
    """All pods with one kind of source: how many, how many of them were heard, what hinders."""

    kind: str
    pods: int
    heard: int
    words: str


def workloads(fleet: Fleet) -> list[Object]:
    """Return the topmost owners of all pods, or the pods themselves, in order."""
    found = {(pod.namespace, (pod.owners or (Owner(POD, pod.name),))[-1]) for pod in fleet.ordered}
    return sorted(found, key=_order)


def unknown(fleet: Fleet, namespace: str = "", kind: str = "", name: str = "") -> str:
    """Return in words that a workload is not known, and which names there are like it."""
    known = [owner.name for place, owner in workloads(fleet) if namespace in ("", place)]
    near = get_close_matches(name[:100], known, n=3) or known[:3]
    there = f" (known there: {', '.join(near)})" if near else ""
    where = f" in namespace {namespace[:100]}" if namespace else ""
    return (
        f"{kind[:100]} {name[:100]}{where} has no pod with a source{there}: check the name, or"
        " label its pod template forescale.dev/source"
    ).lstrip()


def fair(objects: Sequence[Object], most: int = MAX_WORKLOADS) -> list[Object]:
    """Return so many at most: those of a namespace that has many give way to another's few."""
    seen: Counter[str] = Counter()
    ranked = []
    for found in objects:
        ranked.append((seen[found[0]], found))
        seen[found[0]] += 1
    ranked.sort(key=lambda one: one[0])
    return sorted((found for _, found in ranked[:most]), key=_order)


def row(snapshot: Snapshot, workload: Object) -> Row:
    """Return one workload's row; its pods are those of the Snapshot's fleet."""
    group = group_of(snapshot.fleet, workload)
    living = (pod for pod in group.pods if snapshot.standings[pod.uid] is not Standing.ENDED)
    targets = strictest(pod.target for pod in living)
    metric = _demand(snapshot, group, targets)
    levels = snapshot.levels(RAW, metric.series, group.places)
    serving = snapshot.serving[group.places]
    known = serving & levels.known
    standings = Counter(snapshot.standings[pod.uid] for pod in group.pods)
    served, held = int((known & levels.fresh).sum()), int((known & ~levels.fresh).sum())
    loading = sum(standings[one] for one in _STARTING)
    observed, _ = _value(snapshot, workload, metric, RAW)
    smoothed, why = _value(snapshot, workload, metric, metric.view)
    target = next((one for one in targets if one.metric == metric.name), None)
    asks = tuple(_ask(snapshot, workload, one) for one in targets)
    return Row(
        workload=workload,
        replicas=len(group.pods) - standings[Standing.ENDED],
        served=served,
        held=held,
        loading=loading,
        omitted=len(group.pods) - served - held - loading,
        demand=metric,
        observed=observed,
        smoothed=smoothed,
        why=why,
        pending=_value(snapshot, workload, PENDING, PENDING.view)[0],
        gpu_percent=_value(snapshot, workload, GPU, GPU.view, Agg.MEAN)[0],
        target=target.milli / 1000 if target else None,
        desired=_desired(asks),
        foreseen=snapshot.foreseen.get(_key(workload, metric)),
        left=_left(snapshot, metric, group, np.flatnonzero(~known).tolist()),
        asks=asks,
        gpus_per_pod=_gpus_per_pod(group.pods),
    )


def _gpus_per_pod(pods: Iterable[Pod]) -> int | None:
    """Return how many GPUs each pod asks for; None for none, a share of one, or if they differ."""
    counts = {None if pod.is_sharing() else sum(pod.gpus.values()) for pod in pods}
    return (counts.pop() or None) if len(counts) == 1 else None


def sources(snapshot: Snapshot) -> tuple[SourceRow, ...]:
    """Return a row for each kind of source that a pod has."""
    pods: Counter[str] = Counter()
    heard: Counter[str] = Counter()
    troubles: dict[str, Counter[str]] = {}
    for pod in snapshot.fleet.ordered:
        source = snapshot.sources.get(pod.uid, NEW)
        kind = "node alone" if pod.source is None else pod.source.value
        pods[kind] += 1
        last = source.node_period_seconds if pod.source is None else source.heard_at
        heard[kind] += last is not None
        trouble = pod.source_problem or source.trouble or source.node_why
        if trouble:
            troubles.setdefault(kind, Counter())[trouble] += 1
    return tuple(
        SourceRow(kind, count, heard[kind], _counted(troubles.get(kind, Counter())))
        for kind, count in sorted(pods.items())
    )


def group_of(fleet: Fleet, workload: Object) -> Group:
    """Return the workload's pods; a pod without an owner is its own workload."""
    namespace, owner = workload
    if owner.kind == POD:
        return fleet.by_namespace.get(namespace, NOBODY).named(owner.name)
    return fleet.owned(namespace, owner.kind, owner.name)


def _order(workload: Object) -> tuple[str, str, str]:
    namespace, owner = workload
    return namespace, owner.name, owner.kind


def _demand(snapshot: Snapshot, group: Group, targets: Iterable[Target]) -> Metric:
    asked = [*(METRICS[target.metric] for target in targets), *_USUAL]
    for metric in asked:
        rows = snapshot.window.by_series.get(metric.series, NONE).of(snapshot.fleet)
        if (rows[group.places] != NO_ROW).any():
            return metric
    return asked[0] if group.read().pods else GPU


def _value(
    snapshot: Snapshot, workload: Object, metric: Metric, view: View, agg: Agg = Agg.SUM
) -> tuple[float | None, str | None]:
    """Return the workload's value as it is served, or None and why."""
    namespace, owner = workload
    try:
        if owner.kind == POD:
            answer = snapshot.pods(metric, view, namespace, EVERYTHING, owner.name)
        else:
            key = TotalKey(namespace, owner.kind, owner.name, metric.name, view, agg=agg)
            answer = snapshot.total(metric, key)
    except NoValue as error:
        return None, str(error)
    if not answer.milli:
        return None, "none of its pods has a source that reads this"
    return answer.milli[0] / 1000, None


def _key(workload: Object, metric: Metric) -> TotalKey:
    return TotalKey(workload[0], workload[1].kind, workload[1].name, metric.name, metric.view)


def _ask(snapshot: Snapshot, workload: Object, target: Target) -> Ask:
    metric = METRICS[target.metric]
    total, why = _value(snapshot, workload, metric, metric.view)
    if total is None:
        return Ask(target, None, None, None, why)
    milli = round(1000 * total)
    found = asked(snapshot, target, _key(workload, metric), milli)
    return Ask(target, milli, found.milli, found.replicas, None)


def _desired(asks: Sequence[Ask]) -> int | None:
    """Return the most; nothing where one of the totals has no value, as in an answer."""
    found = [ask.replicas for ask in asks if ask.replicas is not None]
    return max(found) if found and len(found) == len(asks) else None


def _left(
    snapshot: Snapshot, metric: Metric, group: Group, numbers: Sequence[int]
) -> tuple[Left, ...]:
    pods = (group.pods[number] for number in numbers[:MAX_LEFT])
    return tuple(Left(pod.name, snapshot.excuse(metric, pod)) for pod in pods)


def _counted(troubles: Counter[str]) -> str:
    groups: dict[str, Counter[str]] = {}
    for words, count in troubles.items():
        groups.setdefault(excuses.alike(words), Counter())[words] += count
    ranked = sorted(groups.values(), key=Counter.total, reverse=True)
    told = [f"{group.total()} x {_first(group)}" for group in ranked[: excuses.NAMED]]
    return excuses.listed(told, len(ranked))


def _first(alike: Counter[str]) -> str:
    words = next(iter(alike))
    return words if len(alike) == 1 else f"such as: {words}"
