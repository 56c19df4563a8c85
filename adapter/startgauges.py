"""The start gauges: the learnt cold starts as metrics, one workload a tick in turn."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from adapter.model.exits import MAX_WORKLOADS, Workload
from adapter.model.starting import Starting
from adapter.telemetry import Metrics


class StartGauges:
    """Keeps the gauges near what is learnt; an estimate costs 0.1 ms, all at once would be felt.

    Workloads of which no whole start was seen have none, and neither have those beyond
    MAX_WORKLOADS: label values are tenants' names.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: list[Workload] = []
        self._shown: set[Workload] = set()

    def turn(self, starting: Starting, now: float) -> None:
        """Bring one workload's gauges up to date; a round begins anew when all had their turn."""
        if not self._waiting:
            self._waiting = starting.workloads()[:MAX_WORKLOADS]
            self._drop(self._shown.difference(self._waiting))
        if not self._waiting:
            return
        workload = self._waiting.pop()
        found = starting.estimate(workload, now)
        if not found.starts or found.p50_seconds is None:
            self._drop(self._shown & {workload})
            return
        for quantile, seconds in (("0.5", found.p50_seconds), ("0.9", found.p90_seconds)):
            self._metrics.cold_start.labels(*structs.astuple(workload), quantile).set(seconds)
        self._shown.add(workload)

    def _drop(self, gone: Iterable[Workload]) -> None:
        for workload in list(gone):
            for quantile in ("0.5", "0.9"):
                self._metrics.cold_start.remove(*structs.astuple(workload), quantile)
            self._shown.discard(workload)
