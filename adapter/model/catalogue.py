"""The catalogue: every metric that is served, its unit, its default view, who it is served for."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Stat(StrEnum):
    """How a window of readings becomes one value; see smooth.py for the formulas."""

    RAW = "raw"
    MEAN = "mean"
    EWMA = "ewma"
    RISE = "rise"  # up with the last 15 s, down with the window
    MAX = "max"
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"


# The share of the time, or of the observations, that lies at or below each quantile.
QUANTILES = {Stat.P50: 0.5, Stat.P90: 0.9, Stat.P95: 0.95, Stat.P99: 0.99}


# The windows that can be asked for: a closed grid, so that the views stay few.
WINDOWS_SECONDS = (15, 30, 60, 120, 300, 600)


class Agg(StrEnum):
    """How the pods of a workload become one value. An HPA's AverageValue divides by the replicas,
    so that only the sum is right for it; the others are for its Value. MERGED is for distributions,
    which have no other: the quantile of all that the pods measured."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    MERGED = "merged"


class Over(StrEnum):
    """How the GPUs of a pod become one figure: their mean, the most or the least of them."""

    MEAN = "mean"
    MAX = "max"
    MIN = "min"


class View(msgspec.Struct, frozen=True):
    """One way to look at a series; `window_seconds` is 0 for RAW and the half-life for EWMA."""

    stat: Stat
    window_seconds: int = 0
    over: Over = Over.MEAN

    def words(self) -> str:
        """Return what becomes of the readings in words: `mean over 30 s`."""
        if self.stat is Stat.RAW:
            return "last reading"
        way = ", half-life" if self.stat is Stat.EWMA else " over"
        return f"{self.stat}{way} {self.window_seconds} s"


class Metric(msgspec.Struct, frozen=True):
    """One served metric."""

    name: str
    series: str  # row of the windows: one of sidecar.wire.SERIES, of RATES or of HISTOGRAMS
    unit: str
    view: View  # what is answered when the query does not choose
    totals: bool = True  # whether a sum over a workload's pods has a meaning
    distribution: bool = False  # observations in buckets: quantiles, which a workload has merged


RAW = View(Stat.RAW)
MEAN_15S = View(Stat.MEAN, 15)
MEAN_30S = View(Stat.MEAN, 30)
MEAN_60S = View(Stat.MEAN, 60)
P95_60S = View(Stat.P95, 60)

# The series that are the mean, or the share, of a pod's GPUs: they have a most and a least, too.
SPREAD = ("gpu_busy_percent", "gpu_memory_percent", "gpu_tensor_percent", "gpu_dram_percent")


def over(series: str, chosen: Over) -> str:
    """Return the name of the series that is this of a pod's several GPUs."""
    return series if chosen is Over.MEAN else f"{series}_{chosen}"


# The series that are no readings but speeds of counters, in the order of the meters' columns.
RATES = ("arrivals_per_second", "output_tokens_per_second", "preemptions_per_second")

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("nvidia_gpu_utilization", "gpu_busy_percent", "percent", MEAN_30S),
        Metric("nvidia_gpu_memory_utilization", "gpu_memory_percent", "percent", RAW),
        Metric("nvidia_gpu_memory_used_bytes", "gpu_memory_used_bytes", "bytes", RAW),
        Metric("nvidia_gpu_power_watts", "gpu_power_watts", "watts", RAW),
        Metric("nvidia_gpu_tensor_activity", "gpu_tensor_percent", "percent", MEAN_30S),
        Metric("nvidia_gpu_dram_activity", "gpu_dram_percent", "percent", MEAN_30S),
        Metric("nvidia_gpu_health", "gpu_health", "1 or 0", RAW, totals=False),
        Metric("llm_inference_pending_requests", "pending", "requests", MEAN_15S),
        Metric("llm_inference_running_requests", "running", "requests", MEAN_15S),
        Metric("llm_inference_inflight_requests", "inflight", "requests", MEAN_15S),
        Metric("llm_inference_kv_cache_utilization", "kv_percent", "percent", MEAN_15S),
        Metric("llm_inference_arrival_rate", "arrivals_per_second", "requests/s", MEAN_60S),
        Metric("llm_inference_tokens_per_second", "output_tokens_per_second", "tokens/s", MEAN_60S),
        Metric("llm_inference_preemption_rate", "preemptions_per_second", "1/s", MEAN_60S),
        Metric(
            "llm_inference_time_to_first_token_seconds",
            "time_to_first_token_seconds",
            "seconds",
            P95_60S,
            totals=False,
            distribution=True,
        ),
        Metric(
            "llm_inference_queue_time_seconds",
            "queue_time_seconds",
            "seconds",
            P95_60S,
            totals=False,
            distribution=True,
        ),
    )
}

# The series that are distributions: the histograms of sidecar.wire, served as quantiles.
HISTOGRAMS = ("time_to_first_token_seconds", "queue_time_seconds")

# The highest figure of a series that can be a measurement; above it the reading is dropped. With
# these an HPA's arithmetic (value / target x pods, in an int32) cannot overflow into a scale-down.
CEILINGS: dict[str, float] = {
    "gpu_busy_percent": 100.0,
    "gpu_memory_percent": 100.0,
    "gpu_memory_used_bytes": 8e12,  # sixteen GPUs of 288 GB are 4.6e12
    "gpu_power_watts": 1e5,
    "gpu_tensor_percent": 100.0,
    "gpu_dram_percent": 100.0,
    "gpu_health": 1.0,
    "pending": 1e6,
    "running": 1e6,
    "inflight": 2e6,
    "kv_percent": 100.0,
    "arrivals_per_second": 1e5,
    "output_tokens_per_second": 1e7,  # a rack of 72 GPUs makes about 1.5e6
    "preemptions_per_second": 1e5,
    "time_to_first_token_seconds": 1e5,  # of the bounds; the highest known is 7,680 s
    "queue_time_seconds": 1e5,
}

# The API groups that are served; of the versions clients prefer the first and fall back.
GROUP = "custom.metrics.k8s.io"
VERSIONS = ("v1beta2", "v1beta1")
EXTERNAL_GROUP = "external.metrics.k8s.io"
EXTERNAL_VERSION = "v1beta1"

# Of a metric query's selector: the keys that choose pods by what their sources say of themselves.
DIMENSIONS = ("model", "lora", "role")
