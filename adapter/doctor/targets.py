"""The HPAs' checks by what stands in them: what scales wrong even where every value is right."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from adapter.cluster import Json
from adapter.doctor.facts import Facts, key_of, path_of
from adapter.doctor.finding import Finding, counted, passed, warned
from adapter.doctor.question import Asked
from adapter.doctor.question import metrics as metrics_of
from adapter.doctor.scaling import hpas
from adapter.model.quantity import parse_milli
from adapter.model.target import DESIRED_REPLICAS, metric_of

PENDING = "llm_inference_pending_requests"
_LEAST, _MOST = 10, 100  # percent: below, nearly idle pods are multiplied; above is never reached
_OFTEN_LOW = ("nvidia_gpu_tensor_activity", "nvidia_gpu_dram_activity")  # single digits are usual
_LEAST_OF_THOSE = 1
USUAL_WINDOW_SECONDS = 300  # the controller's, where an HPA says nothing
_LONGEST_WINDOW_SECONDS = 3600  # that an API server takes
_ALONE = ("mean", "max", "merged")  # an `agg` that is no total


def units(facts: Facts) -> Iterator[Finding]:
    """Say which targets of percentages can never be reached, or are ratios by mistake."""
    return _each(facts, _unit, "percentages are asked for as 0 to 100")


def _unit(hpa: Json) -> Iterator[tuple[str, str]]:
    for metric in metrics_of(hpa):
        known = metric_of(metric.name)
        alone = metric.target.get("value", "") if metric.labels.get("agg") in _ALONE else ""
        said = str(metric.target.get("averageValue") or alone)
        if metric.is_gpu_resource and (metric.target.get("averageUtilization") or 0) > _MOST:
            said = str(metric.target["averageUtilization"])
        elif known is None or known.unit != "percent" or not said:
            continue
        milli, least = _milli(said), _LEAST_OF_THOSE if metric.name in _OFTEN_LOW else _LEAST
        if milli > _MOST * 1000:
            yield f"{metric.name}: a target of {said} percent is never reached", 'write "80"'
        elif milli < least * 1000:
            yield (
                f"{metric.name}: a target of {said} percent makes idle pods many",
                'percentages are 0 to 100, no ratios: write "80", not "0.8"',
            )


def _milli(quantity: str) -> float:
    """Return the thousandths of a quantity; one that is beyond all measure is without end."""
    try:
        return parse_milli(quantity)
    except ValueError:
        return float("inf")


def pending(facts: Facts) -> Iterator[Finding]:
    """Say which HPAs go by the queue alone, which is 0 until the pods are full."""
    return _each(facts, _pending, "none goes by the queue alone")


def _pending(hpa: Json) -> Iterator[tuple[str, str]]:
    found = metrics_of(hpa)
    if len(found) == 1 and found[0].name == PENDING:
        yield (
            f"{PENDING} is its only metric: up late, and down too early",
            "add llm_inference_inflight_requests, or nvidia_gpu_utilization where GPUs are proven",
        )


def values(facts: Facts) -> Iterator[Finding]:
    """Say which targets of type Value are compared with a total, which grows with each replica."""
    return _each(facts, _value, "no total is compared with a Value")


def _value(hpa: Json) -> Iterator[tuple[str, str]]:
    for metric in metrics_of(hpa):
        if metric.kind not in ("Object", "External") or metric.target.get("type") != "Value":
            continue
        known = metric_of(metric.name)
        if metric.name == DESIRED_REPLICAS:
            yield (
                f"{metric.name}: by a Value each sync multiplies the pods by what they should be",
                'write type: AverageValue, averageValue: "1"',
            )
        elif known is not None and known.totals and metric.labels.get("agg") not in _ALONE:
            yield (
                f"{metric.name}: a Value is compared with the total of all pods",
                "write type: AverageValue, or agg: mean into the metric's selector",
            )


def lulls(facts: Facts) -> Iterator[Finding]:
    """Say which HPAs scale down at once, and load the models again after every lull."""
    return _each(facts, partial(_lull, facts), "each waits before it scales down")


def _lull(facts: Facts, hpa: Json) -> Iterator[tuple[str, str]]:
    down = (hpa["spec"].get("behavior") or {}).get("scaleDown") or {}
    if down.get("selectPolicy") == "Disabled":
        return
    window, start = down.get("stabilizationWindowSeconds"), _usual_start(facts, hpa)
    if window == 0:
        yield (
            "scaleDown.stabilizationWindowSeconds is 0: every lull removes pods",
            "write a cold start at least, such as 300: `forescale coldstart` knows it",
        )
        return
    waits = USUAL_WINDOW_SECONDS if window is None else window
    if start is not None and waits < start:
        yield (
            f"goes down after a lull of {waits} s, and half of its starts took {start:.0f} s",
            f"behavior.scaleDown.stabilizationWindowSeconds: {window_for(start)}",
        )


def window_for(start_seconds: float) -> int:
    """Return the stabilizationWindowSeconds that outlasts a start, in whole minutes."""
    return min(60 * math.ceil(start_seconds / 60), _LONGEST_WINDOW_SECONDS)


def _usual_start(facts: Facts, hpa: Json) -> float | None:
    """Return the median of the starts that the adapter has seen; None where it saw none."""
    scaled = facts.scaled.get(key_of(hpa))
    return scaled.start.body.warm.p50_seconds if scaled and scaled.start.body else None


def zero(facts: Facts) -> Iterator[Finding]:
    """Say which HPAs go to zero and can never wake: no metric of theirs has a value there."""
    return _each(facts, _zero, "none goes to zero for ever")


def _zero(hpa: Json) -> Iterator[tuple[str, str]]:
    if hpa["spec"].get("minReplicas", 1) == 0 and not any(
        _wakes(hpa, metric) for metric in metrics_of(hpa)
    ):
        yield (
            "minReplicas is 0, and each metric is of its own pods: nothing wakes it",
            "minReplicas: 1, or a metric of a gateway's Service: docs/zero.md",
        )


def _wakes(hpa: Json, metric: Asked) -> bool:
    """Return whether a metric may have a value while there is no pod."""
    if metric.kind not in ("Object", "External"):
        return False
    target = hpa["spec"]["scaleTargetRef"]
    own = metric.described.get("kind"), metric.described.get("name")
    if metric.kind == "External":
        own = metric.labels.get("kind", "Deployment"), metric.labels.get("workload")
    return metric_of(metric.name) is None or own != (target["kind"], target["name"])


def _each(
    facts: Facts, troubles_of: Callable[[Json], Iterator[tuple[str, str]]], well: str
) -> Iterator[Finding]:
    """Yield what is wrong with each HPA, or that nothing is; nothing where there is none."""
    found = hpas(facts)
    troubles = [
        warned(f"{path_of(hpa)}: {words}", hint)
        for hpa in found
        for words, hint in troubles_of(hpa)
    ]
    yield from troubles
    if found and not troubles:
        yield passed(f"{counted(len(found), 'HPA')}: {well}")
