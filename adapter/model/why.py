"""The why: one workload's figures from the last reading to the served value, or what hinders them.

What an answer says in one line when it fails, this says for every pod: it reads the same Snapshot
and decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import numpy as np

from adapter.errors import NotFound, NoValue
from adapter.model import excuses, outlook, prospect
from adapter.model.catalogue import METRICS, Agg, Metric, Over, Stat, View
from adapter.model.desired import asked, key_of, targets_of
from adapter.model.fleet import Pod, Standing
from adapter.model.freshness import FRESH_PERIODS, Freshness
from adapter.model.owners import KNOWN
from adapter.model.prospect import Prospect
from adapter.model.quantity import format_milli, parse_milli
from adapter.model.queried import Board, Key
from adapter.model.selection import NOBODY, Group
from adapter.model.snapshot import Answer, Snapshot, TotalKey
from adapter.model.source import NEW, Dims
from adapter.model.target import DESIRED_REPLICAS, FORECAST, Target

POD = "Pod"
Ask = Callable[[Metric, TotalKey], Answer]  # how a total is asked for


class Figure(msgspec.Struct, frozen=True, rename="camel"):
    """A pod's or an object's way to a value; `served` is None where `why` says why.

    `raw` is the last reading, None of a latency, which is of a window alone; `freshness` is
    `fresh`, `held` or `gone`, None where nothing was ever read. Of a query `why` also says what is
    wrong while the last value is held. `note` says how the figure was come by where it is not what
    its name says: by proxy, or of a part of the GPUs.
    """

    raw: float | None
    age_seconds: float | None
    freshness: str | None
    served: str | None
    why: str | None
    note: str | None = None


class Phase(msgspec.Struct, frozen=True, rename="camel"):
    """One step of a start, as `container_started` or `engine_ready`; `at` is Unix seconds."""

    name: str
    at: float


class PodStory(msgspec.Struct, frozen=True, rename="camel"):
    """One pod; `heard_seconds_ago` is None before its source said anything.

    `near_oom` says what is about to be full, None while nothing is or nobody tells. `phases` are of
    the present life of the model server, in their order.
    """

    name: str
    standing: Standing
    heard_seconds_ago: float | None
    figure: Figure
    near_oom: str | None = None
    phases: tuple[Phase, ...] = ()


class Total(msgspec.Struct, frozen=True, rename="camel"):
    """The workload's total as it is served, or why it is not."""

    served: str | None
    why: str | None


class Story(msgspec.Struct, frozen=True, rename="camel"):
    """One metric of one workload at one moment (`taken_at`, Unix seconds).

    `view` is as in a query; `served_as` is in words what the pods' `served` are of their readings.
    """

    metric: str
    unit: str
    view: str
    taken_at: float
    pods: tuple[PodStory, ...]
    total: Total | None  # None where a total has no meaning
    object: Figure | None = None  # of a metric that is a query, which has no pods
    demands: tuple[Demand, ...] = ()  # of desired replicas: the most count
    prospect: Prospect | None = None  # None where the demand is not forecast
    served_as: str | None = None  # None of what is no pod's: a query, replicas


class Demand(msgspec.Struct, frozen=True, rename="camel"):
    """What one target asks for: `story` is its total, `acting` what a forecast makes of it.

    `target` is what one pod carries. `replicas` are None where the total has no value.
    """

    target: str
    story: Story
    acting: str | None
    replicas: int | None


class Choice(msgspec.Struct, frozen=True):
    """What a metric selector chooses; `agg` is None for the usual way, the total.

    `ahead`: the forecast is asked for.
    """

    view: View
    dims: Dims = ()
    agg: Agg | None = None
    ahead: bool = False


def tell(
    snapshot: Snapshot, metric: Metric, choice: Choice, *, namespace: str, kind: str, name: str
) -> Story | None:
    """Return the story of a pod or of a workload's pods; None when there is no pod with a source.

    A `name` of `*` with kind Pod means every pod of the namespace. `kind` is as in a manifest, or
    qualified (`RayCluster.ray.io`) where it is none of Kubernetes' own.
    """
    kind = _qualified(kind)
    group = _group(snapshot, namespace, kind, name)
    if not group.pods:
        return None
    view, dims, agg = choice.view, choice.dims, choice.agg or Agg.SUM
    said = snapshot.saying(group, dims)
    key = TotalKey(namespace, kind, name, metric.name, view, dims, agg)
    ask = partial(prospect.total, snapshot) if choice.ahead else snapshot.total
    return Story(
        metric.name + FORECAST if choice.ahead else metric.name,
        metric.unit,
        words(choice),
        snapshot.wall,
        _pods(snapshot, metric, view, said if said.pods else group),
        None if kind == POD else _total(snapshot, metric, key, ask),
        prospect=prospect.told(snapshot, key),
        served_as=view.words(),
    )


def tell_desired(snapshot: Snapshot, *, namespace: str, kind: str, name: str) -> Story | None:
    """Return how many replicas a workload's targets ask for; None where it has no pods here."""
    kind = _qualified(kind)
    if kind == POD or not snapshot.fleet.owned(namespace, kind, name).pods:
        return None
    targets = targets_of(snapshot, kind, namespace, name)
    demands = tuple(_demand(snapshot, target, namespace, kind, name) for target in targets)
    return Story(
        DESIRED_REPLICAS,
        "replicas",
        "by forescale.dev/target",
        snapshot.wall,
        (),
        _most(demands),
        demands=demands,
    )


def tell_queried(snapshot: Snapshot, board: Board, key: Key) -> Story:
    """Return what a query last said of an object, and what is served of it."""
    found = board.figures.get(key)
    hold, trouble = snapshot.trails.hold.usual_seconds, board.troubles.get((key.metric, key.kind))
    try:
        served, why = _quantity(board.figure(key, snapshot.at, hold).value), trouble
    except (NoValue, NotFound) as error:
        served, why = None, str(error)
    figure = Figure(None, None, None, served, why)
    if found is not None:
        age = max(0.0, snapshot.at - found.at)
        fresh = age <= FRESH_PERIODS * board.period_seconds
        grade = (Freshness.FRESH if fresh else Freshness.HELD) if served else Freshness.GONE
        figure = Figure(found.value, round(age, 3), grade.name.lower(), served, why)
    return Story(key.metric, "as the query counts", "query", snapshot.wall, (), None, object=figure)


def _demand(snapshot: Snapshot, target: Target, namespace: str, kind: str, name: str) -> Demand:
    metric, key = METRICS[target.metric], key_of(target, kind, namespace, name)
    group = snapshot.owned(metric, key)
    pods = _pods(snapshot, metric, metric.view, group)
    total = _total(snapshot, metric, key, snapshot.total)
    view, ahead = words(Choice(metric.view)), prospect.told(snapshot, key)
    unit, said = metric.unit, metric.view.words()
    story = Story(
        metric.name, unit, view, snapshot.wall, pods, total, prospect=ahead, served_as=said
    )
    carried = format_milli(target.milli)
    if total is None or total.served is None:
        return Demand(carried, story, None, None)
    found = asked(snapshot, target, key, parse_milli(total.served))
    return Demand(carried, story, format_milli(found.milli), found.replicas)


def _most(demands: Sequence[Demand]) -> Total:
    """Return the most replicas; none where one of the totals has no value, as in an answer."""
    if not demands:
        write = "annotate its pod template forescale.dev/target, for example inflight=16"
        return Total(None, f"its pods have no target: {write}")
    for demand in demands:
        if demand.replicas is None:
            total = demand.story.total
            return Total(None, total.why if total else None)
    return Total(str(max(demand.replicas or 0 for demand in demands)), None)


def _qualified(kind: str) -> str:
    known = KNOWN.named(kind)
    return kind if known is None else known.qualified


def words(choice: Choice) -> str:
    """Return the choice as it is written in a query."""
    view = choice.view
    window = "" if view.stat is Stat.RAW else f" {view.window_seconds}s"
    agg = f", agg={choice.agg}" if choice.agg else ""
    over = "" if view.over is Over.MEAN else f", gpus={view.over}"
    return f"{view.stat}{window}{over}{''.join(f', {k}={v}' for k, v in choice.dims)}{agg}"


def _group(snapshot: Snapshot, namespace: str, kind: str, name: str) -> Group:
    if kind != POD:
        return snapshot.fleet.owned(namespace, kind, name)
    pods = snapshot.fleet.by_namespace.get(namespace, NOBODY)
    return pods if name == "*" else pods.named(name)


def _pods(snapshot: Snapshot, metric: Metric, view: View, group: Group) -> tuple[PodStory, ...]:
    last = view if metric.distribution else View(Stat.RAW, over=view.over)
    raw = snapshot.levels(last, metric.series, group.places)
    seen = snapshot.levels(view, metric.series, group.places)
    stories = []
    for place, pod in enumerate(group.pods):
        standing = snapshot.standings[pod.uid]
        served = bool(seen.known[place]) and standing is Standing.SERVING
        source = snapshot.sources.get(pod.uid, NEW)
        figure = Figure(
            raw=None if metric.distribution else _number(raw.values[place]),
            age_seconds=_number(snapshot.at - raw.at[place]) if raw.known[place] else None,
            freshness=_freshness(bool(raw.known[place]), bool(raw.fresh[place]), raw.values[place]),
            served=_quantity(seen.values[place]) if served else None,
            why=None if served else snapshot.excuse(metric, pod),
            note=_printable(source.remark(metric.series)) if raw.known[place] else None,
        )
        heard = None if source.heard_at is None else round(snapshot.at - source.heard_at, 1)
        near, phases = _printable(outlook.near(snapshot, pod.uid)), _phases(snapshot, pod)
        stories.append(PodStory(pod.name, standing, heard, figure, near, phases))
    return tuple(stories)


def _phases(snapshot: Snapshot, pod: Pod) -> tuple[Phase, ...]:
    """Return the start of the container by the pod's status, and the steps that its source saw."""
    begun = pod.model_started_at
    first = () if begun is None else (Phase("container_started", begun),)
    seen = snapshot.sources.get(pod.uid, NEW).word.phases.seen()
    since = snapshot.wall - snapshot.at
    return (*first, *(Phase(name, round(at + since, 1)) for name, at in seen))


def _printable(words: str | None) -> str | None:
    return excuses.printable(words) if words else None


def _total(snapshot: Snapshot, metric: Metric, key: TotalKey, ask: Ask) -> Total | None:
    """Return the object's value; None where this way to make one has no meaning for the metric."""
    if metric.distribution != (key.agg is Agg.MERGED):
        return None
    if key.agg is Agg.SUM and not metric.totals:
        return None
    try:
        answer = (snapshot.merged if metric.distribution else ask)(metric, key)
    except (NoValue, NotFound) as error:
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
