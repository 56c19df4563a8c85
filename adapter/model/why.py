"""The why: one workload's figures from the last reading to the served value, or what hinders them.

What an answer says in one line when it fails, this says for every pod: it reads the same Snapshot
and decides nothing itself.
"""

from __future__ import annotations

import msgspec
import numpy as np

from adapter.errors import NoValue
from adapter.model.catalogue import RAW, Agg, Metric, Stat, View
from adapter.model.fleet import Standing
from adapter.model.freshness import Freshness
from adapter.model.owners import KNOWN
from adapter.model.quantity import format_milli
from adapter.model.selection import NOBODY, Group
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.source import NEW, Dims

POD = "Pod"


class Figure(msgspec.Struct, frozen=True, rename="camel"):
    """One pod's way to a value. `raw` is the last reading; `served` None where `why` says why.

    `freshness` is `fresh`, `held` or `gone`, None where nothing was ever read.
    """

    raw: float | None
    age_seconds: float | None
    freshness: str | None
    served: str | None
    why: str | None


class PodStory(msgspec.Struct, frozen=True, rename="camel"):
    """One pod; `heard_seconds_ago` is None before its source said anything."""

    name: str
    standing: Standing
    heard_seconds_ago: float | None
    figure: Figure


class Total(msgspec.Struct, frozen=True, rename="camel"):
    """The workload's total as it is served, or why it is not."""

    served: str | None
    why: str | None


class Story(msgspec.Struct, frozen=True, rename="camel"):
    """One metric of one workload at one moment (`taken_at`, Unix seconds)."""

    metric: str
    unit: str
    view: str
    taken_at: float
    pods: tuple[PodStory, ...]
    total: Total | None  # None where a total has no meaning


class Choice(msgspec.Struct, frozen=True):
    """What a metric selector chooses; `agg` is None for the usual way, the total."""

    view: View
    dims: Dims = ()
    agg: Agg | None = None


def tell(
    snapshot: Snapshot, metric: Metric, choice: Choice, *, namespace: str, kind: str, name: str
) -> Story | None:
    """Return the story of a pod or of a workload's pods; None when there is no pod with a source.

    A `name` of `*` with kind Pod means every pod of the namespace. `kind` is as in a manifest, or
    qualified (`RayCluster.ray.io`) where it is none of Kubernetes' own.
    """
    known = KNOWN.named(kind)
    kind = kind if known is None else known.qualified
    group = _group(snapshot, namespace, kind, name)
    if not group.pods:
        return None
    view, dims, agg = choice.view, choice.dims, choice.agg or Agg.SUM
    said = snapshot.saying(group, dims)
    key = TotalKey(namespace, kind, name, metric.name, view, dims, agg)
    return Story(
        metric.name,
        metric.unit,
        words(choice),
        snapshot.wall,
        _pods(snapshot, metric, view, said if said.pods else group),
        None if kind == POD else _total(snapshot, metric, key),
    )


def words(choice: Choice) -> str:
    """Return the choice as it is written in a query."""
    view = choice.view
    window = "" if view.stat is Stat.RAW else f" {view.window_seconds}s"
    agg = f", agg={choice.agg}" if choice.agg else ""
    return f"{view.stat}{window}{''.join(f', {k}={v}' for k, v in choice.dims)}{agg}"


def _group(snapshot: Snapshot, namespace: str, kind: str, name: str) -> Group:
    if kind != POD:
        return snapshot.fleet.owned(namespace, kind, name)
    pods = snapshot.fleet.by_namespace.get(namespace, NOBODY)
    return pods if name == "*" else pods.named(name)


def _pods(snapshot: Snapshot, metric: Metric, view: View, group: Group) -> tuple[PodStory, ...]:
    raw = snapshot.levels(view if metric.distribution else RAW, metric.series, group.places)
    seen = snapshot.levels(view, metric.series, group.places)
    stories = []
    for place, pod in enumerate(group.pods):
        standing = snapshot.standings[pod.uid]
        served = bool(seen.known[place]) and standing is Standing.SERVING
        heard_at = snapshot.sources.get(pod.uid, NEW).heard_at
        figure = Figure(
            raw=_number(raw.values[place]),
            age_seconds=_number(snapshot.at - raw.at[place]) if raw.known[place] else None,
            freshness=_freshness(bool(raw.known[place]), bool(raw.fresh[place]), raw.values[place]),
            served=_quantity(seen.values[place]) if served else None,
            why=None if served else snapshot.excuse(metric, pod),
        )
        heard = None if heard_at is None else round(snapshot.at - heard_at, 1)
        stories.append(PodStory(pod.name, standing, heard, figure))
    return tuple(stories)


def _total(snapshot: Snapshot, metric: Metric, key: TotalKey) -> Total | None:
    """Return the object's value; None where this way to make one has no meaning for the metric."""
    if metric.distribution != (key.agg is Agg.MERGED):
        return None
    if key.agg is Agg.SUM and not metric.totals:
        return None
    ask = snapshot.merged if metric.distribution else snapshot.total
    try:
        answer = ask(metric, key)
    except NoValue as error:
        return Total(None, str(error))
    if not answer.milli:
        return Total(None, "none of its pods has a source that reads this")
    return Total(format_milli(answer.milli[0]), None)


def _number(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def _freshness(known: bool, fresh: bool, value: float) -> str | None:  # noqa: FBT001 - two columns
    if not np.isfinite(value):
        return None
    if not known:
        return Freshness.GONE.name.lower()
    return (Freshness.FRESH if fresh else Freshness.HELD).name.lower()


def _quantity(value: float) -> str:
    return format_milli(round(float(value) * 1000))
