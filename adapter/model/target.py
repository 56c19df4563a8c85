"""The target: how much of a demand one pod is to carry, and how many pods that asks for."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from adapter.model.catalogue import METRICS, Metric
from adapter.model.quantity import parse_milli

DESIRED_REPLICAS = "forescale_desired_replicas"
# The demands, by the words of the annotation: what comes from outside, of which a total is known.
DEMANDS = {
    "inflight": "llm_inference_inflight_requests",
    "arrival_rate": "llm_inference_arrival_rate",
    "gpu": "nvidia_gpu_utilization",
}
# What they are forecast as: the names that are served, and the metric of each.
FORECAST = "_forecast"
FORECASTS = {f"{metric}{FORECAST}": metric for metric in DEMANDS.values()}
# Every name that is served whatever the settings say.
SERVED = (*METRICS, *FORECASTS, DESIRED_REPLICAS)
# Kubernetes goes up to 150,000 pods in a cluster. An HPA takes replicas for an int32: a target of
# 0.001 must not make its arithmetic overflow into a scale-down.
MOST_REPLICAS = 1_000_000
_MOST_CHARACTERS = 40


class Target(msgspec.Struct, frozen=True):
    """What one pod is to carry: so many thousandths of the metric's unit, above 0."""

    metric: str
    milli: int

    def replicas(self, total_milli: int) -> int:
        """Return how many pods carry the total: as many as an HPA's AverageValue asks for."""
        return min(-(-total_milli // self.milli), MOST_REPLICAS)


def metric_of(name: str) -> Metric | None:
    """Return the metric of a served name, forecast or not; None for any other name."""
    return METRICS.get(FORECASTS.get(name, name))


def parse(text: str) -> Target:
    """Return the target of `inflight=16`; raise ValueError with what to write instead."""
    words = f"write one of {', '.join(f'{name}=NUMBER' for name in DEMANDS)}"
    name, _, number = text[:_MOST_CHARACTERS].partition("=")
    if name not in DEMANDS or len(text) > _MOST_CHARACTERS:
        raise ValueError(words)
    try:
        milli = parse_milli(number)
    except ValueError as error:
        raise ValueError(f"{words}, the number above 0 as in {name}=16") from error
    if milli <= 0:
        raise ValueError(f"{words}, the number above 0 as in {name}=16")
    return Target(DEMANDS[name], milli)


def strictest(targets: Iterable[Target | None]) -> tuple[Target, ...]:
    """Return the lowest target of each metric: pods of one workload may differ during a rollout."""
    lowest: dict[str, Target] = {}
    for target in targets:
        if target and (target.metric not in lowest or target.milli < lowest[target.metric].milli):
            lowest[target.metric] = target
    return tuple(lowest.values())
