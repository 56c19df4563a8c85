"""An HPA's metrics of objects, and external ones, are asked as the controller asks them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapter.cli.autoscaler import Autoscaler
from adapter.cli.totals import Total, whose
from adapter.cli.totals import total as read
from adapter.intake.kube import Kube
from tests.adapter.intake.scraping import answering, listening
from tests.adapter.test_main import kubeconfig

HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
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


def external(selector: dict[str, str], **target: str) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": "8"} | target
    metric = {"name": "Inflight", "selector": {"matchLabels": selector}}
    return {"type": "External", "external": {"metric": metric, "target": target}}


def pod(name: str, ready: str = "True") -> dict[str, Any]:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "status": status}


def hpa(*metrics: dict[str, Any]) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"}
    spec = {"scaleTargetRef": target, "minReplicas": 0, "maxReplicas": 9, "metrics": [*metrics]}
    return {"metadata": {"name": "h", "namespace": "default"}, "spec": spec}


async def told(
    folder: Path, autoscaler: dict[str, Any], values: dict[str, list[str]], replicas: int = 0
) -> list[str]:
    """Return the arithmetic of each total of an HPA; of its workload's pods one is not ready."""
    scale = {"spec": {"replicas": replicas}, "status": {"selector": "app=llm"}}
    pods = [pod("a"), pod("b"), pod("c", "False")][:replicas]
    pages: dict[str, Any] = {
        f"{HPAS}/h": autoscaler,
        "/api/v1": {"resources": SERVICES},
        "/apis/apps/v1": {"resources": APPS},
        "/apis/apps/v1/namespaces/default/deployments/llm/scale": scale,
        "/api/v1/namespaces/default/pods app=llm": {"items": pods},
    }
    for place, found in values.items():
        pages[place] = {"items": [{"value": value} for value in found]}

    async def answer(request: web.Request) -> web.Response:
        query = request.query
        selector = query.get("metricLabelSelector", "") or query.get("labelSelector", "")
        page = pages.get(f"{request.path} {selector}".strip())
        gone = {"kind": "Status", "message": "the adapter's own words", "code": 503}
        return web.json_response(page or gone, status=200 if page else 503)

    async with listening(answering(answer)) as port:
        kube = await Kube.connect(kubeconfig(folder, port))
        try:
            found = await Autoscaler.read(kube, "default", "h")
            assert found.others() == []
            asked = [one for one in found.asked if isinstance(one, Total)]
            return [(await found.ask_total(kube, one)).why for one in asked]
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
    found = await told(tmp_path, hpa(metric), {f"{METRICS}/{place} stat=raw": ["67m"]})
    assert found == ["inflight: 0.067 in total / 8 per pod -> 1"]


async def test_an_error_is_told_in_the_adapters_own_words(tmp_path: Path) -> None:
    found = await told(tmp_path, hpa(total("Service", "gateway")), {})
    assert found == ["inflight: the adapter's own words"]


VALUE = {"type": "Value", "value": "10"}


@pytest.mark.parametrize(
    ("metric", "place", "values", "words"),
    [
        (
            total("Service", "gateway", **VALUE),
            f"{METRICS}/services/gateway/inflight stat=raw",
            ["15"],
            "inflight: 15 / 10 = 1.50 x 2 ready pods -> 3",
        ),
        (
            external({"workload": "llm", "stat": "raw"}),
            f"{EXTERNAL}/inflight stat=raw,workload=llm",
            ["20", "21"],
            "Inflight: 41 in total / 8 per pod -> 6",
        ),
        (
            external({"queue": "prompts"}, **VALUE),
            f"{EXTERNAL}/inflight queue=prompts",
            ["5"],
            "Inflight: 5 / 10 = 0.50 x 2 ready pods -> 1",
        ),
        (
            external({"queue": "prompts"}),
            f"{EXTERNAL}/inflight queue=prompts",
            [],
            "Inflight: no metrics returned",
        ),
        (
            total("Service", "*"),
            f"{METRICS}/services/*/inflight stat=raw",
            ["1", "2"],
            "inflight: the answer has 2 values, and the controller takes exactly one",
        ),
    ],
)
async def test_a_value_is_multiplied_by_the_ready_pods_and_external_items_are_added_up(
    tmp_path: Path, metric: dict[str, Any], place: str, values: list[str], words: str
) -> None:
    assert await told(tmp_path, hpa(metric), {place: values}, replicas=3) == [words]


def test_other_types_are_not_shown_here() -> None:
    pods = {"type": "Pods", "pods": {"metric": {"name": "inflight"}}}
    wrong = total("Service", "a", type="Utilization")
    manifest = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"} | hpa(
        pods, wrong, total("Service", "b")
    )
    manifest["spec"]["minReplicas"] = 1
    none, unknown, found = (read(manifest, one) for one in manifest["spec"]["metrics"])
    assert (none, unknown) == (None, None)
    assert found is not None
    assert (found.kind, found.name, found.metric.selector) == ("Service", "b", "stat=raw")


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("workload=llm", ("llm", "Deployment", "")),
        ("kind=Service,stat=raw,workload=gw", ("gw", "Service", "stat in (raw)")),
        ("queue=prompts", ("", "Deployment", "queue in (prompts)")),
        ("workload in (", ("", "", "")),
    ],
)
def test_an_external_metrics_selector_says_whose_it_is_and_in_which_view(
    selector: str, wanted: tuple[str, str, str]
) -> None:
    assert whose(selector) == wanted
