"""The start gauges: the learnt cold starts as metrics, one workload a tick in turn."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from adapter.model.exits import MAX_WORKLOADS, Workload
from adapter.model.starting import Starting
from adapter.telemetry import Metrics

COUNT_SECONDS = 5.0  # a thousand pods that start take a millisecond to count


class StartGauges:
    """Keeps the gauges near what is learnt; an estimate costs 0.4 ms, all at once would be felt.

    Workloads of which no whole start was seen have none, and neither have those beyond
    MAX_WORKLOADS: label values are tenants' names.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: list[Workload] = []
        self._shown: set[tuple[Workload, str]] = set()  # with the quantile
        self._counted_at = float("-inf")

    def turn(self, starting: Starting, now: float) -> None:
        """Bring one workload's gauges up to date; a round begins anew when all had their turn."""
        self._count(starting, now)
        if not self._waiting:
            self._waiting = starting.workloads()[:MAX_WORKLOADS]
            known = set(self._waiting)
            self._drop(shown for shown in self._shown if shown[0] not in known)
        if not self._waiting:
            return
        workload = self._waiting.pop()
        found = starting.estimate(workload, now)
        p90_seconds = found.p90_seconds if found.starts else None
        self._show(workload, "0.5", found.p50_seconds)
        self._show(workload, "0.9", p90_seconds)

    def _show(self, workload: Workload, quantile: str, seconds: float | None) -> None:
        if seconds is None:
            self._drop(self._shown & {(workload, quantile)})
            return
        self._metrics.cold_start.labels(*structs.astuple(workload), quantile).set(seconds)
        self._shown.add((workload, quantile))

    def _count(self, starting: Starting, now: float) -> None:
        if abs(now - self._counted_at) < COUNT_SECONDS:
            return
        self._counted_at = now
        found = starting.stuck(now)
        self._metrics.starting_pods.labels("true").set(sum(found))
        self._metrics.starting_pods.labels("false").set(len(found) - sum(found))

    def _drop(self, gone: Iterable[tuple[Workload, str]]) -> None:
        for workload, quantile in list(gone):
            self._metrics.cold_start.remove(*structs.astuple(workload), quantile)
            self._shown.discard((workload, quantile))
