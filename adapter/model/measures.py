"""The measures: which series of other exporters measure what one of our metrics is."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from sidecar import engines
from sidecar.names import Names


class Kind(StrEnum):
    """What Prometheus calls the type of a series."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Measure(msgspec.Struct, frozen=True):
    """One foreign series in our terms: the metric's figure is `factor` times the series'.

    `averaged` tells that a pod's figure is the mean over its GPUs. `source` is what reads it here.
    """

    metric: str
    kind: Kind = Kind.GAUGE
    factor: float = 1.0
    averaged: bool = False
    source: str = ""
    notes: tuple[str, ...] = ()


_MIB = 1024.0 * 1024.0
_DCGM = "dcgm"


def _level(metric: str, source: str = _DCGM) -> Measure:
    return Measure(metric, averaged=True, source=source)


def _share(metric: str, source: str = _DCGM) -> Measure:
    return Measure(metric, factor=100.0, averaged=True, source=source)


_GPU = {
    "DCGM_FI_DEV_GPU_UTIL": _level("nvidia_gpu_utilization"),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": _share("nvidia_gpu_utilization"),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": _share("nvidia_gpu_tensor_activity"),
    "DCGM_FI_PROF_DRAM_ACTIVE": _share("nvidia_gpu_dram_activity"),
    "DCGM_FI_DEV_POWER_USAGE": Measure("nvidia_gpu_power_watts", source=_DCGM),
    "DCGM_FI_DEV_FB_USED": Measure("nvidia_gpu_memory_used_bytes", factor=_MIB, source=_DCGM),
    # Names of users' own exporters, which ours were named after, and of nvidia_gpu_exporter.
    "nvidia_gpu_utilization": _level("nvidia_gpu_utilization", ""),
    "nvidia_gpu_memory_used_bytes": Measure("nvidia_gpu_memory_used_bytes"),
    "nvidia_smi_utilization_gpu_ratio": _share("nvidia_gpu_utilization", ""),
    "llm_inference_pending_requests": Measure("llm_inference_pending_requests"),
}


def _queue() -> Iterator[tuple[str, Measure]]:
    for row in engines.ROWS:
        for figure, metric, kind, factor in (
            (row.pending, "llm_inference_pending_requests", Kind.GAUGE, 1.0),
            (row.running, "llm_inference_running_requests", Kind.GAUGE, 1.0),
            (row.kv_ratio, "llm_inference_kv_cache_utilization", Kind.GAUGE, 100.0),
            (row.finished, "llm_inference_arrival_rate", Kind.COUNTER, 1.0),
            (row.output_tokens, "llm_inference_tokens_per_second", Kind.COUNTER, 1.0),
        ):
            for name in _plain(figure):
                yield name, Measure(metric, kind, factor, source=row.kind)
        for key, figure in row.histograms.items():
            metric = f"llm_inference_{key}"
            for name in _plain(figure):
                yield name, Measure(metric, Kind.HISTOGRAM, source=row.kind)
                yield f"{name}_bucket", Measure(metric, Kind.HISTOGRAM, source=row.kind)


def _plain(names: Names) -> Iterator[str]:
    """Yield the names that measure the figure by themselves, without a label that selects it."""
    for one in (one for parts in names for one in parts):
        if not any(value for _, value in one.labels):
            yield one.name


MEASURES: dict[str, Measure] = dict(_queue()) | _GPU
