"""The prospect: a demand's forecast as it is served, of an object and of each of its pods.

It is the total that an HPA is to go by: never below the present one, and the present one where the
forecast only observes or is not believed. Each pod has the same part of its workload's, so an HPA
that adds them up has the total.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec
import numpy as np

from adapter.errors import NotFound
from adapter.model.catalogue import Metric
from adapter.model.fleet import Pod, Standing
from adapter.model.foreseen import Doubt, Foreseen, Mode
from adapter.model.selector import Selector
from adapter.model.snapshot import NO_ANSWER, Answer, Snapshot, TotalKey
from adapter.model.target import DEMANDS

_WORDS = {name: word for word, name in DEMANDS.items()}  # of the annotation forescale.dev/target


class Prospect(msgspec.Struct, frozen=True, rename="camel"):
    """A forecast as `forescale why` tells it, figures in the metric's unit; see Foreseen.

    `served` is the total that an HPA was told at the moment of the forecast. `weight` is the share,
    of 1, that the leading expert has; `margin_ratio` what the margins made of what the experts
    expect. `present` is the total that the forecast was made of, `seconds_ago`: every five seconds,
    and not while a pod is silent. None is what is not known yet.
    """

    mode: str
    present: float | None
    forecast: float | None
    served: float | None
    horizon: str
    why: str
    leader: str | None = None
    weight: float | None = None
    expected: float | None = None
    margin_ratio: float | None = None
    covered: float | None = None
    seconds_ago: float | None = None


def told(snapshot: Snapshot, key: TotalKey) -> Prospect | None:
    """Return the prospect of an object; None where its demand is not forecast."""
    foreseen = snapshot.foreseen.get(key)
    return _of(foreseen, snapshot.at) if foreseen else None


def _of(foreseen: Foreseen, now: float) -> Prospect:
    reckoning = foreseen.reckoning
    acting = foreseen.value if foreseen.mode is Mode.ACT else None
    return Prospect(
        str(foreseen.mode),
        foreseen.present,
        foreseen.predicted,
        foreseen.present if acting is None else acting,
        foreseen.horizon,
        foreseen.why,
        leader=reckoning.leader if reckoning else None,
        weight=reckoning.weight if reckoning else None,
        expected=reckoning.expected if reckoning else None,
        margin_ratio=reckoning.margin_ratio if reckoning else None,
        covered=foreseen.covered,
        seconds_ago=None if foreseen.at is None else round(max(0.0, now - foreseen.at), 1),
    )


def without_room(snapshot: Snapshot) -> Iterator[tuple[Pod, str]]:
    """Yield the pods, ended ones left out, whose workload's demand finds no room, and why."""
    for key, one in snapshot.foreseen.items():
        if one.doubt is not Doubt.NO_ROOM:
            continue
        for pod in snapshot.fleet.owned(key.namespace, key.kind, key.name).pods:
            if pod.standing() is not Standing.ENDED:
                yield pod, f"{key.metric} is not forecast: {one.why}"


def total(snapshot: Snapshot, metric: Metric, key: TotalKey) -> Answer:
    """Return the object's total, raised by its forecast; empty where none of its pods has a source.

    Raises NotFound where it is not forecast, with how it would be, and NoValue as any total does.
    """
    foreseen = snapshot.foreseen.get(key)
    if foreseen is None:
        raise NotFound(_unforeseen(snapshot, metric, key))
    found = snapshot.total(metric, key)
    return found._replace(milli=[foreseen.raised(milli) for milli in found.milli])


def pods(
    snapshot: Snapshot, metric: Metric, namespace: str, selector: Selector, name: str | None
) -> Answer:
    """Return for each served pod its part of its workload's total; pods that are not forecast none.

    Raises NotFound where pods match and none is forecast, and NoValue as Snapshot.pods does.
    """
    owned = _owned(snapshot, metric, namespace, selector)
    if owned and not any(key in snapshot.foreseen for key in owned.values()):
        raise NotFound(_unforeseen(snapshot, metric, next(iter(owned.values()))))
    found = snapshot.pods(metric, metric.view, namespace, selector, name)
    whose = {one: owned[one] for one in found.names if owned.get(one) in snapshot.foreseen}
    parts = {key: _part(snapshot, metric, key) for key in set(whose.values())}
    kept = [number for number, one in enumerate(found.names) if one in whose]
    if not kept:
        return NO_ANSWER
    windows = found.each_window()
    return Answer(
        [found.names[number] for number in kept],
        [parts[whose[found.names[number]]] for number in kept],
        [found.taken_at[number] for number in kept],
        found.window_seconds,
        None if found.windows is None else [windows[number] for number in kept],
    )


def keys(
    snapshot: Snapshot, metric: Metric, namespace: str, selector: Selector
) -> Collection[TotalKey]:
    """Return the totals, as far as they are forecast, that the matching pods are a part of."""
    return set(_owned(snapshot, metric, namespace, selector).values()) & snapshot.foreseen.keys()


def _owned(
    snapshot: Snapshot, metric: Metric, namespace: str, selector: Selector
) -> dict[str, TotalKey]:
    """Return for each matching pod's name the total of its topmost owner; without one it is out."""
    return {
        pod.name: TotalKey(namespace, owner.kind, owner.name, metric.name, metric.view)
        for pod in snapshot.fleet.matching(namespace, selector).pods
        for owner in pod.owners[-1:]
    }


def _part(snapshot: Snapshot, metric: Metric, key: TotalKey) -> int:
    """Return a served pod's part in thousandths; rounded up, so that the sum is not less."""
    whole = total(snapshot, metric, key).milli[0]
    places = snapshot.owned(metric, key).places
    known = snapshot.levels(metric.view, metric.series, places).known
    served = int(np.count_nonzero(known & snapshot.serving[places]))
    return -(-whole // served)


def _unforeseen(snapshot: Snapshot, metric: Metric, key: TotalKey) -> str:
    """Return why the object's demand is not forecast, and what to write."""
    this = f"{key.kind.partition('.')[0]} {key.name}"
    pods = snapshot.owned(metric, key).pods
    living = [pod for pod in pods if snapshot.standings[pod.uid] is not Standing.ENDED]
    owners = [pod.owners[-1] for pod in living if pod.owners]
    if owners and (owners[0].kind, owners[0].name) != (key.kind, key.name):
        topmost = f"{owners[0].kind.partition('.')[0]} {owners[0].name}"
        return f"{this} is not forecast: only the topmost owner of its pods is, {topmost}"
    aim = f"forescale.dev/target: {_WORDS[metric.name]}=NUMBER"
    said = {pod.forecast for pod in living} - {None}
    if said and Mode.OFF not in said:
        return f"{this} is forecast, but not {metric.name}: annotate its pod template {aim}"
    opt_in = "annotate its pod template forescale.dev/forecast: observe (later act)"
    also = "" if metric.name == DEMANDS["inflight"] else f", and {aim}"
    return f"{this} is not forecast: {opt_in}{also}"
