"""Owns the proof that OTLP gets what the registry has, and nothing that it has not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from sidecar.points import Points

SINCE, NOW = 1_000_000_000, 61_000_000_000


def sent(points: Points, *families: Metric, now: int = NOW) -> dict[str, Any]:
    """Return the metrics by name as they are on the wire."""
    (resource,) = encode_metrics(points.data(families, now)).resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


@pytest.fixture
def points() -> Points:
    return Points("forescale-test", "1.2", "pod-0", SINCE)


def labels(point: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in point.attributes}


def test_each_kind_of_figure_is_sent_as_what_it_is(points: Points) -> None:
    registry = CollectorRegistry()
    Counter("frames", "Frames.", ["result"], registry=registry).labels("read").inc(7)
    Gauge("streams", "Open.", registry=registry).set(3)
    seen = Histogram("age_seconds", "Age.", ["part"], buckets=(1, 5), registry=registry)
    for value in (0.5, 2.0, 4.0, 60.0):
        seen.labels("gpu").observe(value)
    found = sent(points, *registry.collect())
    assert set(found) == {"frames", "streams", "age_seconds"}
    assert (found["frames"].description, found["frames"].sum.is_monotonic) == ("Frames.", True)
    assert found["frames"].sum.aggregation_temporality == 2  # cumulative
    (counted,) = found["frames"].sum.data_points
    assert (counted.as_double, labels(counted)) == (7.0, {"result": "read"})
    assert (counted.start_time_unix_nano, counted.time_unix_nano) == (SINCE, NOW)
    (level,) = found["streams"].gauge.data_points
    assert (level.as_double, labels(level)) == (3.0, {})
    (spread,) = found["age_seconds"].histogram.data_points
    assert (list(spread.explicit_bounds), list(spread.bucket_counts)) == ([1, 5], [1, 2, 1])
    assert (spread.count, spread.sum, labels(spread)) == (4, 66.5, {"part": "gpu"})
    assert not spread.HasField("min")
    assert not spread.HasField("max")


def test_what_is_not_known_is_not_sent_and_never_0(points: Points) -> None:
    registry = CollectorRegistry()
    Gauge("unknown", "No series yet.", ["pod"], registry=registry)
    Gauge("broken", "No number.", registry=registry).set(float("nan"))
    Gauge("endless", "No number.", registry=registry).set(float("inf"))
    Histogram("unseen", "No series yet.", ["pod"], registry=registry)
    assert sent(points, *registry.collect()) == {}


def test_a_sum_that_became_less_began_anew_after_the_last_look(points: Points) -> None:
    def starts(total: float, count: float, now: int) -> Iterator[int]:
        counter = CounterMetricFamily("finished", "", labels=["pod"])
        counter.add_metric(["a"], total)
        spread = HistogramMetricFamily("wait", "", labels=["pod"])
        spread.add_metric(["a"], [("1", count), ("+Inf", count)], 1.0)
        found = sent(points, counter, spread, now=now)
        yield found["finished"].sum.data_points[0].start_time_unix_nano
        yield found["wait"].histogram.data_points[0].start_time_unix_nano

    assert list(starts(100, 5, NOW)) == [SINCE, SINCE]
    assert list(starts(120, 5, NOW + 10)) == [SINCE, SINCE]
    assert list(starts(3, 1, NOW + 20)) == [NOW + 10, NOW + 10]
    assert list(starts(9, 2, NOW + 30)) == [NOW + 10, NOW + 10]


def test_who_sends_is_told_and_the_environment_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told() -> dict[str, str]:
        data = encode_metrics(Points("forescale-test", "1.2", "pod-0", SINCE).data((), NOW))
        return {
            one.key: one.value.string_value for one in data.resource_metrics[0].resource.attributes
        }

    own = {"service.version": "1.2", "service.instance.id": "pod-0"}
    assert told() == own | {"service.name": "forescale-test"}
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=west,service.instance.id=x")
    named = {"service.name": "mine", "k8s.cluster.name": "west", "service.instance.id": "x"}
    assert told() == own | named


@given(st.lists(st.floats(0, 100), max_size=20), st.lists(st.floats(0, 90), min_size=1, max_size=5))
def test_of_any_histogram_the_buckets_add_up_to_what_was_observed(
    values: list[float], bounds: list[float]
) -> None:
    registry = CollectorRegistry()
    edges = tuple(sorted(set(bounds)))
    seen = Histogram("h", "", buckets=edges, registry=registry)
    for value in values:
        seen.observe(value)
    points = Points("forescale-test", "1.2", "pod-0", SINCE)
    (point,) = sent(points, *registry.collect())["h"].histogram.data_points
    assert point.count == sum(point.bucket_counts) == len(values)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    for number, edge in enumerate(point.explicit_bounds):
        assert sum(point.bucket_counts[: number + 1]) == sum(value <= edge for value in values)
