"""External metrics: one item for the workload that the selector names, in the exact shape."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapter.api.external import External
from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model.fleet import Owner
from adapter.model.owners import Owners
from adapter.model.selector import parse
from tests.adapter.api.serving import Serving, status
from tests.adapter.api.test_custom import BUSY, BYTES, PENDING, Asking
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

GROUP = "/apis/external.metrics.k8s.io/v1beta1"


@pytest.fixture
def asking() -> Asking:
    world = World(serving_pod("llm-0"), serving_pod("llm-1"))
    world.say["llm-0"] = {"pending": 4.0, "gpu_busy_percent": 80.0, "gpu_memory_used_bytes": 1e10}
    world.say["llm-1"] = {"pending": 1.5, "gpu_busy_percent": 60.0, "gpu_memory_used_bytes": 2e10}
    world.advance(40)
    return Asking(world)


def ask(asking: Asking, metric: str, selector: str, namespace: str = "default") -> dict[str, Any]:
    external = External(asking.answers, Owners.of(""))
    place = {"namespace": namespace, "metric": metric}
    body = external.answer(asking.answers.snapshot(), place, {"labelSelector": selector})
    found: dict[str, Any] = json.loads(body)
    return found


def value(asking: Asking, metric: str, selector: str) -> str:
    (item,) = ask(asking, metric, selector)["items"]
    return str(item["value"])


def test_the_list_is_exactly_this(asking: Asking) -> None:
    assert ask(asking, PENDING, f"workload={DEPLOYMENT}") == {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metricName": PENDING,
                "metricLabels": {"workload": DEPLOYMENT},
                "timestamp": "2023-11-14T22:14:00Z",
                "window": 15,
                "value": "5500m",
            }
        ],
    }


def test_a_raw_reading_has_no_window(asking: Asking) -> None:
    (item,) = ask(asking, BYTES, f"workload={DEPLOYMENT}")["items"]
    assert "window" not in item
    assert item["value"] == "30000000000"


def test_a_name_is_known_in_any_case(asking: Asking) -> None:
    assert value(asking, PENDING.upper(), f"workload={DEPLOYMENT}") == "5500m"
    with pytest.raises(NotFound, match="did you mean nvidia_gpu_utilization"):
        ask(asking, "nvidia_gpu_utilisation", f"workload={DEPLOYMENT}")


def test_the_view_is_chosen_as_for_an_object(asking: Asking) -> None:
    assert value(asking, BUSY, f"workload={DEPLOYMENT}") == "140"
    assert value(asking, BUSY, f"workload={DEPLOYMENT},agg=mean") == "70"
    assert value(asking, BUSY, f"workload={DEPLOYMENT},agg=max,stat=raw") == "80"


def test_any_kind_can_be_named(asking: Asking) -> None:
    asking.world.selectors = {("default", Owner("Service", "llm")): (parse("app"),)}
    asking.world.advance()
    assert value(asking, PENDING, "workload=llm,kind=Service") == "5500m"
    assert value(asking, PENDING, "workload=llm,kind=service") == "5500m"
    assert value(asking, PENDING, f"workload={DEPLOYMENT},kind=Deployment.apps") == "5500m"
    assert value(asking, PENDING, f"workload={DEPLOYMENT},kind=DEPLOYMENT.apps") == "5500m"
    with pytest.raises(NotFound, match="Service `none`"):
        ask(asking, PENDING, "workload=none,kind=Service")
    with pytest.raises(BadRequest, match="kind=`Nothing` is not known; known are Deployment, "):
        ask(asking, PENDING, "workload=llm,kind=Nothing")


def test_without_a_workload_it_is_told_how_to_name_one(asking: Asking) -> None:
    with pytest.raises(BadRequest, match="as in workload=NAME"):
        ask(asking, PENDING, "")


def test_another_namespace_has_its_own_workloads(asking: Asking) -> None:
    with pytest.raises(NotFound, match="in namespace `elsewhere`"):
        ask(asking, PENDING, f"workload={DEPLOYMENT}", "elsewhere")


def test_a_workload_that_is_blind_has_no_value(asking: Asking) -> None:
    with pytest.raises(NoValue, match="0 of 2 pods"):
        ask(asking, "llm_inference_kv_cache_utilization", f"workload={DEPLOYMENT}")


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    async with Serving(tmp_path) as running:
        running.apiserver.allows = lambda spec: (
            spec.get("resourceAttributes", {}).get("verb") == "list"
        )
        yield running


async def test_the_right_that_is_asked_about_is_to_list_the_metric(serving: Serving) -> None:
    path = f"{GROUP}/namespaces/default/{BUSY}?labelSelector=workload%3D{DEPLOYMENT}"
    code, headers, body = await serving.proxied("hpa", path=path)
    assert (code, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["items"][0]["value"] == "50"
    assert serving.apiserver.reviewed[-1]["resourceAttributes"] == {
        "verb": "list",
        "namespace": "default",
        "group": "external.metrics.k8s.io",
        "version": "v1beta1",
        "resource": BUSY,
        "name": "",
        "subresource": "",
    }


def test_a_query_answers_for_a_workload_in_any_case_of_its_name(asking: Asking) -> None:
    asking.query("gateway_queue", none=4.5)
    assert value(asking, "Gateway_Queue", "workload=none") == "4500m"
    with pytest.raises(BadRequest, match="`stat` is no key; known are workload=…, kind=…"):
        ask(asking, "gateway_queue", "workload=none,stat=raw")
    with pytest.raises(BadRequest, match="say whose gateway_queue"):
        ask(asking, "gateway_queue", "")
    with pytest.raises(NotFound, match="served for Deployment alone"):
        ask(asking, "gateway_queue", "workload=none,kind=Service")


async def test_failures_are_told_as_a_status(serving: Serving) -> None:
    missing = await serving.proxied("hpa", path=f"{GROUP}/namespaces/default/{BUSY}")
    assert status(missing)["reason"] == "BadRequest"
    serving.apiserver.allows = lambda _: False
    forbidden = await serving.proxied("eve", path=f"{GROUP}/namespaces/default/{BUSY}")
    words = 'cannot list resource "nvidia_gpu_utilization" in API group "external.metrics.k8s.io"'
    assert words in status(forbidden)["message"]


async def test_a_namespaces_own_metric_asks_about_the_resource_metrics(serving: Serving) -> None:
    serving.apiserver.allows = lambda _: True
    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/metrics/{BUSY}"
    code, _, body = await serving.proxied("hpa", path=path)
    assert code == 200
    assert json.loads(body)["items"][0]["describedObject"]["kind"] == "Namespace"
    attributes = serving.apiserver.reviewed[-1]["resourceAttributes"]
    assert (attributes["verb"], attributes["resource"]) == ("get", "metrics")
    assert (attributes["name"], attributes["subresource"]) == (BUSY, "")


async def test_a_node_is_asked_about_where_it_is_asked_for(serving: Serving) -> None:
    """A right in one namespace opens that namespace's part of a node, and never the whole."""
    serving.world.change("llm-0", node="gpu-0")
    serving.world.advance()
    serving.apiserver.allows = lambda spec: spec["resourceAttributes"]["namespace"] == "default"
    base = "/apis/custom.metrics.k8s.io/v1beta2"
    code, _, body = await serving.proxied("hpa", path=f"{base}/namespaces/default/nodes/*/{BUSY}")
    assert (code, json.loads(body)["items"][0]["value"]) == (200, "50")
    assert (await serving.proxied("hpa", path=f"{base}/nodes/gpu-0/{BUSY}"))[0] == 403
    attributes = serving.apiserver.reviewed[-1]["resourceAttributes"]
    assert (attributes["namespace"], attributes["resource"]) == ("", "nodes")
    assert (attributes["name"], attributes["subresource"]) == ("gpu-0", BUSY)
    serving.apiserver.allows = lambda _: True
    code, _, body = await serving.proxied("admin", path=f"{base}/nodes/gpu-0/{BUSY}/")
    assert json.loads(body)["items"][0]["describedObject"]["kind"] == "Node"
