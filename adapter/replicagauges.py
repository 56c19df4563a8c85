"""The replica gauges: how many pods workloads have and ask for, as the status page saw them."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Gauge

from adapter.model.overview import Row
from adapter.telemetry import Metrics

Labels = tuple[str, str, str]


class ReplicaGauges:
    """Sets the gauges of the rows and drops the others: overview.MAX_WORKLOADS bounds them."""

    def __init__(self, metrics: Metrics) -> None:
        self._actual = _Shown(metrics.workload_replicas)
        self._desired = _Shown(metrics.workload_desired)

    def show(self, rows: Iterable[Row]) -> None:
        """Bring the gauges up to date; a workload without a target asks for nothing."""
        by_labels = {_labels(row): row for row in rows}
        self._actual.show({one: row.replicas for one, row in by_labels.items()})
        desired = {one: row.desired for one, row in by_labels.items()}
        self._desired.show({one: n for one, n in desired.items() if n is not None})


class _Shown:
    """One gauge, and what of it is shown."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._labels: set[Labels] = set()

    def show(self, counts: dict[Labels, int]) -> None:
        for gone in self._labels - counts.keys():
            self._gauge.remove(*gone)
        for labels, count in counts.items():
            self._gauge.labels(*labels).set(count)
        self._labels = set(counts)


def _labels(row: Row) -> Labels:
    namespace, owner = row.workload
    return namespace, owner.short_kind, owner.name
