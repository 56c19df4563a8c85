"""The question: a metric of an HPA, asked at the path that its controller takes."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.doctor import question
from adapter.doctor.facts import QUEUE
from tests.adapter.doctor.healthy import GPU_RESOURCE, hpa, object_metric, pods_metric

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/prod"
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}
EXPRESSIONS = {
    "matchLabels": {"stat": "max"},
    "matchExpressions": [
        {"key": "model", "operator": "In", "values": ["a"]},
        {"key": "role", "operator": "NotIn", "values": ["b", "c"]},
        {"key": "lora", "operator": "Exists"},
        {"key": "x", "operator": "DoesNotExist"},
    ],
}
CONTAINER = {
    "type": "ContainerResource",
    "containerResource": {"name": "nvidia.com/gpu", "container": "llm", "target": {}},
}


def external(selector: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "External",
        "external": {"metric": {"name": QUEUE, "selector": selector}, "target": {}},
    }


@pytest.mark.parametrize(
    ("metric", "resource", "path", "query"),
    [
        (pods_metric(), "", f"{CUSTOM}/pods/*/{QUEUE}", {"labelSelector": "app=llm"}),
        (
            pods_metric(stat="max"),
            "",
            f"{CUSTOM}/pods/*/{QUEUE}",
            {"labelSelector": "app=llm", "metricLabelSelector": "stat=max"},
        ),
        (
            object_metric(QUEUE, "Deployment", "llm"),
            "deployments.apps",
            f"{CUSTOM}/deployments.apps/llm/{QUEUE}",
            {},
        ),
        (object_metric(QUEUE, "Namespace", "x"), "namespaces", f"{CUSTOM}/metrics/{QUEUE}", {}),
        (
            external(EXPRESSIONS),
            "",
            f"/apis/external.metrics.k8s.io/v1beta1/namespaces/prod/{QUEUE}",
            {"labelSelector": "stat=max,model in (a),role notin (b,c),lora,!x"},
        ),
        (
            GPU_RESOURCE,
            "",
            "/apis/metrics.k8s.io/v1beta1/namespaces/prod/pods",
            {"labelSelector": "app=llm"},
        ),
    ],
)
def test_each_type_has_its_path(
    metric: dict[str, Any], resource: str, path: str, query: dict[str, str]
) -> None:
    asked = question.asked(metric)
    assert question.query(asked, "prod", "app=llm", resource) == (path, query)


def test_what_is_not_looked_at_has_no_question() -> None:
    for metric in (CPU, {"type": "Tomorrow", "tomorrow": {"name": "x"}}, {}):
        assert question.query(question.asked(metric), "prod", "app=llm") is None


def test_a_selector_that_leaves_one_value_is_known_by_it() -> None:
    assert question.asked(external(EXPRESSIONS)).labels == {"stat": "max", "model": "a"}


@pytest.mark.parametrize(
    "ours", [pods_metric(), pods_metric("llm_inference_mistyped"), GPU_RESOURCE, CONTAINER]
)
def test_an_hpa_concerns_us_by_the_names_of_its_metrics(ours: dict[str, Any]) -> None:
    assert question.concerns(hpa(CPU, ours))
    assert not question.concerns(hpa(CPU, pods_metric("http_requests")))
