"""From one pod to none and back, on the real controller, by a gateway's figures and by a query."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.controlplane.workloads import condition
from tests.e2e.llmpods import ROOT
from tests.e2e.scene import DEPLOYMENT, GROUP, HPA, Scene, quantity, refusal

INFLIGHT = "llm_inference_inflight_requests"
GATEWAYS = 2
# Pages once a second, and no stabilization: the minutes of a real cluster are not the point here.
ARGUMENTS = ["--intake-scrape-period-seconds", "1s", "--intake-scrape-seconds", "1s"]
AT_ONCE = {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}


async def test_the_example_goes_to_zero_wakes_for_a_held_request_and_goes_back(
    scene: Scene,
) -> None:
    scene.example = ROOT / "manifests" / "examples" / "llm-inference-zero"
    scene.adapters.arguments = ARGUMENTS
    await scene.adapters.install()
    await scene.deploy(hpa=False, replicas=1, others=GATEWAYS)
    await scene.autoscale()
    await scene.api.patch(f"{_hpas(scene)}/{HPA}", AT_ONCE)

    assert await scene.until_replicas(lambda count: count == 0, 30) == 0
    await scene.kubelet.until(lambda: len(scene.kubelet.pods(scene.namespace)) == GATEWAYS)
    await asyncio.sleep(1)  # two ticks
    assert await _inflight(scene) == 0.0
    assert (await refusal(scene.total(INFLIGHT))).code == 404  # the model's own has none, not 0

    told = await scene.forescale("why", f"hpa/{HPA}", "-n", scene.namespace)
    assert f"  = {INFLIGHT}: 0 in total / 8 per pod -> 0" in told, told
    assert told.count(" serving ") == GATEWAYS, told

    asked = asyncio.create_task(scene.gateways.ask())
    assert await scene.until_replicas(lambda count: count > 0, 15) == 1
    assert (await asyncio.wait_for(asked, 20)).startswith("200 ")
    assert await scene.until_replicas(lambda count: count == 0, 40) == 0
    status = (await scene.hpa())["status"]
    assert condition({"status": status}, "ScaledToZero")["status"] == "True", json.dumps(status)


async def test_by_a_query_it_goes_to_zero_and_wakes_and_a_dead_prometheus_changes_nothing(
    scene: Scene,
) -> None:
    prometheus = _Prometheus(scene.namespace)
    async with TestServer(prometheus.app) as server:
        scene.adapters.arguments = _asking(server)
        await scene.adapters.install()
        await scene.deploy(hpa=False, replicas=1)
        await scene.api.post(_hpas(scene), _by_the_query())
        assert await scene.until_replicas(lambda count: count == 0, 30) == 0
        prometheus.waiting = 9.0
        assert await scene.until_replicas(lambda count: count > 0, 20) == 2
        prometheus.dead = True
        assert set(await scene.watch_replicas(12)) == {2}
        active = condition(await scene.hpa(), "ScalingActive")
        assert active["reason"] == "FailedGetObjectMetric", active
        assert "gateway_queue of Deployment" in active["message"]
        told = await scene.forescale("why", f"hpa/{HPA}", "-n", scene.namespace)
        lines = [line for line in told.splitlines() if "Prometheus: " in line]
        assert any(line.split()[0] in ("9", "-") for line in lines), told  # 9 until it is forgotten
        assert any(line.startswith("  = gateway_queue: ") for line in lines), told
        prometheus.dead, prometheus.waiting = False, 0.0
        assert await scene.until_replicas(lambda count: count == 0, 30) == 0


class _Prometheus:
    """Says how many wait at a gateway for the Deployment; answers 500 while it is dead."""

    def __init__(self, namespace: str) -> None:
        self.waiting = 0.0
        self.dead = False
        self._labels = {"namespace": namespace, "deployment": DEPLOYMENT}
        self.app = web.Application()
        self.app.router.add_get("/api/v1/query", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        if self.dead:
            return web.Response(status=500)
        vector = [{"metric": self._labels, "value": [5, str(self.waiting)]}]
        result = [5, "5.5"] if request.query["query"] == "time()" else vector
        return web.json_response({"status": "success", "data": {"result": result}})


def _asking(server: TestServer) -> list[str]:
    objects = [{"metric": "gateway_queue", "query": "sum by (namespace, deployment) (waiting)"}]
    arguments = ["--prometheus-url", str(server.make_url("")).rstrip("/")]
    arguments += ["--prometheus-period-seconds", "1s", "--model-hold-seconds", "2s"]
    return [*arguments, "--prometheus-objects", json.dumps(objects)]


def _by_the_query() -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT}
    divided = {"type": "AverageValue", "averageValue": "8"}
    metric = {"describedObject": target, "metric": {"name": "gateway_queue"}, "target": divided}
    spec = {"scaleTargetRef": target, "minReplicas": 0, "maxReplicas": 5}
    spec |= AT_ONCE["spec"] | {"metrics": [{"type": "Object", "object": metric}]}
    return {"metadata": {"name": HPA}, "spec": spec}


def _hpas(scene: Scene) -> str:
    return f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers"


async def _inflight(scene: Scene) -> float:
    """Return what the gateway's Service has in flight; its pods are all that there is."""
    path = f"{GROUP}/v1beta2/namespaces/{scene.namespace}/services/llm-gateway/{INFLIGHT}"
    (item,) = (await scene.raw(path))["items"]
    return quantity(item["value"])
