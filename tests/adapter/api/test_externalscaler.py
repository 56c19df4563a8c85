"""KEDA's messages: ours are read by protobuf's own code as they were meant, and KEDA's by us."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.api import externalscaler as ours
from sidecar.protobuf import ProtobufError
from tests.fakes import generated

TEXTS = st.text(max_size=20)
FIGURES = st.integers(0, 9 * 10**15).map(lambda milli: milli / 1000)


def theirs() -> Any:
    return generated.messages("externalscaler")


@given(TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=5), TEXTS)
def test_who_asks_is_read_as_keda_wrote_it(
    name: str, namespace: str, metadata: dict[str, str], metric: str
) -> None:
    reference = theirs().ScaledObjectRef(name=name, namespace=namespace, scalerMetadata=metadata)
    asked = ours.ScaledObject(name, namespace, metadata)
    assert ours.scaled_object(reference.SerializeToString()) == asked
    request = theirs().GetMetricsRequest(scaledObjectRef=reference, metricName=metric)
    assert ours.metrics_request(request.SerializeToString()) == (asked, metric)


@given(TEXTS, FIGURES)
def test_values_and_targets_are_read_as_floats_and_by_an_old_keda_rounded_up(
    metric: str, figure: float
) -> None:
    (value,) = (
        theirs().GetMetricsResponse.FromString(ours.metric_value(metric, figure)).metricValues
    )
    assert (value.metricName, value.metricValueFloat) == (metric, figure)
    assert value.metricValue == math.ceil(figure)
    (spec,) = (
        theirs().GetMetricSpecResponse.FromString(ours.specification(metric, figure)).metricSpecs
    )
    assert (spec.metricName, spec.targetSizeFloat) == (metric, figure)
    assert spec.targetSize == math.ceil(figure)


@pytest.mark.parametrize("active", [True, False])
def test_activity_is_read_as_it_was_meant(*, active: bool) -> None:
    found = theirs().IsActiveResponse.FromString(ours.activity(active=active))
    assert found.result is active


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused_and_never_crash(message: bytes) -> None:
    for read in (ours.scaled_object, ours.metrics_request):
        try:
            found = read(message)
        except ProtobufError:
            continue
        assert found is not None
