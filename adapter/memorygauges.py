"""The memory gauges: how many pods of each workload are about to run out of memory, as metrics."""

from __future__ import annotations

from msgspec import structs

from adapter.model import outlook
from adapter.model.exits import MAX_WORKLOADS, Workload
from adapter.model.snapshot import Snapshot
from adapter.telemetry import Metrics

COUNT_SECONDS = 5.0  # to look at 10,000 pods takes some milliseconds


class MemoryGauges:
    """Keeps the gauges near what the pods' sources say.

    Workloads beyond MAX_WORKLOADS have none: label values are tenants' names. Those of which a pod
    is near come first.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._gauge = metrics.near_out_of_memory
        self._shown: set[Workload] = set()
        self._counted_at = float("-inf")

    def show(self, snapshot: Snapshot) -> None:
        """Bring the gauges up to date, every few seconds."""
        if abs(snapshot.at - self._counted_at) < COUNT_SECONDS:
            return
        self._counted_at = snapshot.at
        counts = outlook.near_by_workload(snapshot)
        chosen = set(
            sorted(counts, key=lambda one: (-counts[one], *structs.astuple(one)))[:MAX_WORKLOADS]
        )
        for gone in self._shown - chosen:
            self._gauge.remove(*structs.astuple(gone))
        for workload in chosen:
            self._gauge.labels(*structs.astuple(workload)).set(counts[workload])
        self._shown = chosen
