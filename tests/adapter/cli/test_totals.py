"""An HPA's metrics of objects are asked at the object's own path, and told with the arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapter.cli.autoscaler import Autoscaler
from adapter.cli.totals import totals
from adapter.intake.kube import Kube
from tests.adapter.intake.scraping import answering, listening
from tests.adapter.test_main import kubeconfig

HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
METRICS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default"
SERVICES = [{"name": "services", "kind": "Service"}, {"name": "services/status", "kind": "Service"}]
APPS = [{"name": "deployments", "kind": "Deployment"}]


def total(kind: str, name: str, version: str = "v1", **target: str) -> dict[str, Any]:
    described = {"apiVersion": version, "kind": kind, "name": name}
    target = {"type": "AverageValue", "averageValue": "8"} | target
    labels = {"matchLabels": {"stat": "raw"}}
    metric = {"name": "inflight", "selector": labels}
    return {
        "type": "Object",
        "object": {"describedObject": described, "metric": metric, "target": target},
    }


def hpa(*metrics: dict[str, Any]) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"}
    spec = {"scaleTargetRef": target, "minReplicas": 0, "maxReplicas": 9, "metrics": [*metrics]}
    return {"metadata": {"name": "h", "namespace": "default"}, "spec": spec}


async def told(folder: Path, autoscaler: dict[str, Any], values: dict[str, str]) -> list[str]:
    """Return the arithmetic of each total of an HPA whose workload has no replicas."""
    pages: dict[str, Any] = {
        f"{HPAS}/h": autoscaler,
        "/api/v1": {"resources": SERVICES},
        "/apis/apps/v1": {"resources": APPS},
        "/apis/apps/v1/namespaces/default/deployments/llm/scale": {"spec": {"replicas": 0}},
        "/api/v1/namespaces/default/pods": {"items": []},
    }
    for place, value in values.items():
        pages[f"{METRICS}/{place} stat=raw"] = {"items": [{"value": value}]}

    async def answer(request: web.Request) -> web.Response:
        selector = request.query.get("metricLabelSelector", "")
        page = pages.get(f"{request.path} {selector}".strip())
        gone = {"kind": "Status", "message": "the adapter's own words", "code": 503}
        return web.json_response(page or gone, status=200 if page else 503)

    async with listening(answering(answer)) as port:
        kube = await Kube.connect(kubeconfig(folder, port))
        try:
            found = await Autoscaler.read(kube, "default", "h")
            return [(await found.ask_total(kube, one)).why for one in found.totals]
        finally:
            await kube.close()


@pytest.mark.parametrize(
    ("metric", "place"),
    [
        (total("Service", "gateway"), "services/gateway/inflight"),
        (total("Deployment", "llm", "apps/v1"), "deployments.apps/llm/inflight"),
        (total("Namespace", "other"), "metrics/inflight"),
    ],
)
async def test_each_object_is_asked_at_its_own_path_also_at_no_replicas(
    tmp_path: Path, metric: dict[str, Any], place: str
) -> None:
    found = await told(tmp_path, hpa(metric), {place: "67m"})
    assert found == ["inflight: 0.067 in total / 8 per pod -> 1"]


async def test_an_error_is_told_in_the_adapters_own_words(tmp_path: Path) -> None:
    found = await told(tmp_path, hpa(total("Service", "gateway")), {})
    assert found == ["inflight: the adapter's own words"]


def test_a_value_that_is_not_divided_and_other_types_are_not_shown_here() -> None:
    value = total("Service", "gateway", type="Value", value="8")
    pods = {"type": "Pods", "pods": {"metric": {"name": "inflight"}}}
    kept = total("Service", "b")
    manifest = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"} | hpa(
        value, pods, kept
    )
    manifest["spec"]["minReplicas"] = 1
    assert [(one.kind, one.name, one.metric.selector) for one in totals(manifest)] == [
        ("Service", "b", "stat=raw")
    ]
