"""The pod gauges: how many pods of each workload are near OOM, or lack a part of their GPUs."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs
from prometheus_client import Gauge

from adapter.model import outlook
from adapter.model.exits import MAX_WORKLOADS, Workload
from adapter.model.snapshot import Snapshot
from adapter.telemetry import Metrics

COUNT_SECONDS = 5.0  # to look at 10,000 pods takes some milliseconds


class PodGauges:
    """Keeps the gauges near what the pods' sources say, every few seconds."""

    def __init__(self, metrics: Metrics) -> None:
        self._near = _Counts(metrics.near_out_of_memory)
        self._lacking = _Counts(metrics.lacking_gpus)
        self._counted_at = float("-inf")

    def show(self, snapshot: Snapshot) -> None:
        """Bring the gauges up to date."""
        if abs(snapshot.at - self._counted_at) < COUNT_SECONDS:
            return
        self._counted_at = snapshot.at
        self._near.show(outlook.near_by_workload(snapshot))
        self._lacking.show(outlook.lacking_by_workload(snapshot))


class _Counts:
    """One gauge; of workloads beyond MAX_WORKLOADS, label values that tenants choose, the least."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shown: set[Workload] = set()

    def show(self, counts: Mapping[Workload, int]) -> None:
        ranked = sorted(counts, key=lambda one: (-counts[one], *structs.astuple(one)))
        chosen = set(ranked[:MAX_WORKLOADS])
        for gone in self._shown - chosen:
            self._gauge.remove(*structs.astuple(gone))
        for workload in chosen:
            self._gauge.labels(*structs.astuple(workload)).set(counts[workload])
        self._shown = chosen
