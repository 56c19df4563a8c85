"""The named policies: autoscalers that a replay can put beside the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapter.model.forecast import TAU, Forecaster
from adapter.model.gpuusage import GPU_RESOURCE
from adapter.model.hpa_policy import Metric, PodsMetric, Policy, ResourceMetric, TotalMetric
from adapter.replay.answers import FORECAST, Chain
from adapter.replay.autoscaler import Autoscaler, Forescale, Hpa
from adapter.replay.kpa import Kpa
from adapter.replay.peers import Apa, Crane, Phpa, Wva
from adapter.replay.workload import Workload

# Exporter every 30 s, scrape 15 s, prometheus-adapter, HPA: its reading is 61 s old at worst, half
# of it in the mean; with the operator's defaults 76 s.
TODAY = Chain(delay_seconds=30.0, raw=True, loading_is_zero=True)
KEDA = Chain(delay_seconds=30.0, raw=True)  # a Prometheus scraped every 30 s behind its scaler
KEDA_WAITING = 5  # vLLM production-stack: num_requests_waiting above 5

CLAIRVOYANT = "clairvoyant"

Make = Callable[[Workload, float, Chain], Autoscaler]


def _hpa(workload: Workload, chain: Chain, *metrics: Metric) -> Hpa:
    lowest, highest = workload.min_replicas, workload.max_replicas
    return Hpa(Policy("replay", "Deployment/replay", lowest, highest, metrics), chain)


def _milli(value: float) -> int:
    return max(1, round(value * 1000))


def _seed(workload: Workload, _: float, __: Chain) -> Autoscaler:
    pending = PodsMetric("llm_inference_pending_requests", 5_000)
    return _hpa(workload, TODAY, ResourceMetric(GPU_RESOURCE, 80), pending)


def _on_arrivals(workload: Workload, target_ratio: float, chain: Chain, suffix: str = "") -> Hpa:
    target = _milli(target_ratio * workload.pod_rate)
    return _hpa(workload, chain, TotalMetric(f"llm_inference_arrival_rate{suffix}", target))


def _reactive(workload: Workload, target_ratio: float, chain: Chain) -> Autoscaler:
    return _on_arrivals(workload, target_ratio, chain)


def _forescale(tau: float, *, drain: bool = True) -> Make:
    """Return the maker of `reactive` on the forecast's tau-quantile instead of the reading."""

    def make(workload: Workload, target_ratio: float, chain: Chain) -> Autoscaler:
        plain = _on_arrivals(workload, target_ratio, chain, FORECAST)
        return Forescale(plain.policy, workload, chain, forecaster=Forecaster(tau), drain=drain)

    return make


def _inflight(workload: Workload, target_ratio: float, chain: Chain) -> Autoscaler:
    target = _milli(target_ratio * workload.concurrency)
    return _hpa(workload, chain, TotalMetric("llm_inference_inflight_requests", target))


def _keda(workload: Workload, _: float, __: Chain) -> Autoscaler:
    target = _milli(KEDA_WAITING)
    return _hpa(workload, KEDA, TotalMetric("llm_inference_pending_requests", target))


def _apa(workload: Workload, target_ratio: float, chain: Chain) -> Autoscaler:
    return Apa(workload, target_ratio, chain)


def _wva(workload: Workload, _: float, chain: Chain) -> Autoscaler:
    return Wva(workload, chain)


def _crane(workload: Workload, target_ratio: float, chain: Chain) -> Autoscaler:
    return Crane(_on_arrivals(workload, target_ratio, chain).policy, chain)


def _phpa(workload: Workload, target_ratio: float, chain: Chain) -> Autoscaler:
    return Phpa(workload, target_ratio, chain)


def _kpa(workload: Workload, _: float, chain: Chain) -> Autoscaler:
    return Kpa(workload, chain)


POLICIES: Mapping[str, tuple[Make, str]] = {
    "seed": (_seed, "HPA on GPU 80 % and 5 pending per pod, through exporter and Prometheus"),
    "reactive": (_reactive, "HPA on the arrival rate, at --target of what a pod serves"),
    "forescale": (_forescale(TAU), "reactive on the forecast of its metric, a cold start ahead"),
    "inflight": (_inflight, "HPA on requests in flight, at --target of a pod's concurrency"),
    "keda": (_keda, "KEDA on waiting requests above 5, from Prometheus"),
    "kpa": (_kpa, "Knative's windows of 60 s and 6 s, at 70 % of a pod's concurrency"),
    "apa": (_apa, "AIBrix's APA on requests in flight, at --target of a pod's concurrency"),
    "wva": (_wva, "llm-d's saturation rule: one pod up or down a minute"),
    "crane": (_crane, "Crane's EHPA: reactive, or the coming hour as it was a day ago"),
    "phpa": (_phpa, "the Predictive HPA's line through ten minutes of wishes"),
}

# Their targets are their own.
TARGETLESS = frozenset({"seed", "keda", "kpa", "wva"})

# What the parts of the forecast are worth: played when asked for by name.
ABLATIONS: Mapping[str, tuple[Make, str]] = {
    "forescale-mean": (_forescale(0.5), "forescale without a margin: the median"),
    "forescale-q99": (_forescale(0.99), "forescale at the 99th percentile"),
    "forescale-no-drain": (_forescale(TAU, drain=False), "forescale that does not see the queue"),
}
