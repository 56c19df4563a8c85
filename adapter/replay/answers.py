"""The answers: what the metrics API of a replay tells an HPA, by the names that are served."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from adapter.model.gpuusage import GPU_RESOURCE
from adapter.model.hpa import Answer
from adapter.model.hpa_policy import Metric, ResourceMetric, TotalMetric, ValueMetric
from adapter.model.target import Target
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen, Series

# Served name -> the series and the seconds of its default view.
READINGS: Mapping[str, tuple[Series, float]] = {
    "llm_inference_arrival_rate": (Series.ARRIVALS, 60.0),
    "llm_inference_pending_requests": (Series.PENDING, 15.0),
    "llm_inference_running_requests": (Series.RUNNING, 15.0),
    "llm_inference_inflight_requests": (Series.INFLIGHT, 15.0),
    "nvidia_gpu_utilization": (Series.GPU, 30.0),
}

# What is demand from outside, and so can be forecast, carries this behind its name.
FORECAST = "_forecast"
FORECASTABLE = (Series.ARRIVALS, Series.INFLIGHT, Series.GPU)

_WINDOW = re.compile(r"window(?:=| in \()(\d+)s\)?")
_PER_POD = re.compile(r"agg(?:=| in \()(?:mean|max)\)?")
_RAW = re.compile(r"stat(?:=| in \()raw\)?")


class Chain(msgspec.Struct, frozen=True):
    """The way from a pod to the HPA. `loading_is_zero`: pods that load a model are seen idle."""

    delay_seconds: float = 2.0
    raw: bool = False
    loading_is_zero: bool = False


class Desired(msgspec.Struct, frozen=True):
    """What `forescale_desired_replicas` goes by: the pods' target, and whether a forecast acts."""

    target: Target
    acts: bool = False

    @property
    def demand(self) -> TotalMetric:
        """The total that is divided."""
        name = f"{self.target.metric}{FORECAST}" if self.acts else self.target.metric
        return TotalMetric(name, self.target.milli)


def known(metric: Metric) -> bool:
    """Return whether a replay can answer this metric at all."""
    if isinstance(metric, ResourceMetric):
        return metric.name == GPU_RESOURCE
    if metric.name.endswith(FORECAST):
        return READINGS.get(reading(metric), (None, 0.0))[0] in FORECASTABLE
    return reading(metric) in READINGS


def reading(metric: Metric) -> str:
    """Return the name of the reading behind the metric, forecast or not."""
    if metric.name == GPU_RESOURCE:
        return "nvidia_gpu_utilization"
    return metric.name.removesuffix(FORECAST)


def answer(metric: Metric, seen: Seen, pods: Pods, chain: Chain, now: float) -> Answer:
    """Return milli-values of the ready pods, a milli-total, or the words why there is none."""
    series, window_seconds = READINGS[reading(metric)]
    window_seconds = 0.0 if chain.raw else _window(metric.selector, window_seconds)
    total = seen.mean(series, window_seconds, now=now, delay_seconds=chain.delay_seconds)
    if total is None:
        return "no reading: the trace has a gap here"
    if isinstance(metric, TotalMetric):
        return round(total * 1000)
    if isinstance(metric, ValueMetric):
        return _value(metric, total, len(pods.ready))
    ready = [pod.name for pod in pods.ready if pod.ready_at <= now - chain.delay_seconds]
    if not ready:
        return "no pod is ready"
    # A GPU resource is counted in GPUs: 80 % of one are 800m.
    milli = round(total / len(ready) * (10 if metric.name == GPU_RESOURCE else 1000))
    values = dict.fromkeys(ready, milli)
    if chain.loading_is_zero and series is Series.GPU:
        values |= dict.fromkeys((pod.name for pod in pods.loading), 0)
    return values


def _value(metric: ValueMetric, total: float, ready: int) -> Answer:
    """Return the total, or with `agg` what each of the pods has: they are alike."""
    if not _PER_POD.search(metric.selector):
        return round(total * 1000)
    return round(total / ready * 1000) if ready else "no pod is ready"


def _window(selector: str, default: float) -> float:
    if _RAW.search(selector):
        return 0.0
    match = _WINDOW.search(selector)
    return float(match[1]) if match else default
