"""The points: a registry's figures as OpenTelemetry's data, and their way out; its only user.

Imported where OTLP is asked for and nowhere else: it is an extra, and 14 MiB. What is sent is
built of the SDK's own types, without its meters: our registry has the figures already, and of a
histogram the SDK takes single observations alone. All sums are cumulative, whatever
OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as Sent
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric
from prometheus_client.samples import Sample

from sidecar.otlp import LastWords

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_EXPORTERS_LOGGER = "opentelemetry.exporter.otlp.proto.http.metric_exporter"
Labels = dict[str, str]
Series = tuple[str, tuple[tuple[str, str], ...]]


class Points:
    """Turns families into data points; remembers since when each sum has been counting.

    Times are Unix nanoseconds; `since` is when this process began to count.
    """

    def __init__(self, service: str, version: str, instance: str, since: int) -> None:
        own = {"service.name": service, "service.version": version}
        own["service.instance.id"] = instance
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
        self._resource = Resource(own).merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope(service, version)
        self._since = since
        self._looked_at = since
        self._before: dict[Series, tuple[int, float]] = {}
        self._counted: dict[Series, tuple[int, float]] = {}

    def data(self, families: Iterable[Metric], now: int) -> MetricsData:
        """Return what to send; a figure that is not known has no point."""
        sent = [one for family in families if (one := self._sent(family, now)) is not None]
        self._before, self._counted, self._looked_at = self._counted, {}, now
        return MetricsData(
            [ResourceMetrics(self._resource, [ScopeMetrics(self._scope, sent, "")], "")]
        )

    def _sent(self, family: Metric, now: int) -> Sent | None:
        samples = [one for one in family.samples if not one.name.endswith("_created")]
        data: Gauge | Sum | Histogram
        if family.type == "histogram":
            histograms = [self._histogram(family.name, one, now) for one in _grouped(samples)]
            data = Histogram(histograms, _CUMULATIVE)
        else:
            numbers = [
                self._number(family, one, now) for one in samples if math.isfinite(one.value)
            ]
            counts = family.type == "counter"
            data = Sum(numbers, _CUMULATIVE, is_monotonic=True) if counts else Gauge(numbers)
        return Sent(family.name, family.documentation, "", data) if data.data_points else None

    def _number(self, family: Metric, sample: Sample, now: int) -> NumberDataPoint:
        labels, value = dict(sample.labels), float(sample.value)
        counts = family.type == "counter"
        start = self._began(family.name, labels, value) if counts else 0
        return NumberDataPoint(labels, start, now, value)

    def _histogram(
        self, family: str, grouped: tuple[Labels, list[Sample]], now: int
    ) -> HistogramDataPoint:
        labels, samples = grouped
        buckets = sorted(
            (float(one.labels["le"]), one.value) for one in samples if "le" in one.labels
        )
        total = next((one.value for one in samples if one.name.endswith("_sum")), 0.0)
        ranked = [int(count) for _, count in buckets]
        counts = [max(0, here - before) for before, here in pairwise([0, *ranked])]
        return HistogramDataPoint(
            attributes=labels,
            start_time_unix_nano=self._began(family, labels, float(ranked[-1])),
            time_unix_nano=now,
            count=sum(counts),
            sum=float(total),
            bucket_counts=counts,
            explicit_bounds=[bound for bound, _ in buckets if math.isfinite(bound)],
            min=None,  # type: ignore[arg-type]  # optional on the wire; a registry does not keep it
            max=None,  # type: ignore[arg-type]
        )

    def _began(self, family: str, labels: Labels, value: float) -> int:
        """Return since when a sum counts: one that has become less began after the last look."""
        series = (family, tuple(sorted(labels.items())))
        start, last = self._before.get(series, (self._since, 0.0))
        start = self._looked_at if value < last else start
        self._counted[series] = (start, value)
        return start


def _grouped(samples: Iterable[Sample]) -> Iterator[tuple[Labels, list[Sample]]]:
    """Yield the samples of each histogram of a family, with the labels that they share."""
    found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for one in samples:
        shared = tuple(sorted((key, text) for key, text in one.labels.items() if key != "le"))
        found.setdefault(shared, []).append(one)
    for shared, group in found.items():
        if any("le" in one.labels for one in group):
            yield dict(shared), group


class Exporter:
    """The SDK's exporter, which reads endpoint, headers, TLS and deadline from OTEL_*."""

    def __init__(self) -> None:
        self._exporter = OTLPMetricExporter()
        self._words = LastWords(_EXPORTERS_LOGGER)

    def send(self, data: MetricsData) -> str | None:
        """Send, within OTEL_EXPORTER_OTLP_TIMEOUT; return None, or why it did not arrive."""
        if self._exporter.export(data) is MetricExportResult.SUCCESS:
            return None
        return self._words.taken()
