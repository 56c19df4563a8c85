"""From one pod to none and back, on the real controller, by what the gateway has in flight."""

from __future__ import annotations

import asyncio
import json

from tests.controlplane.workloads import condition
from tests.e2e.llmpods import ROOT
from tests.e2e.scene import GROUP, HPA, Scene, quantity, refusal

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
    path = f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers/{HPA}"
    await scene.api.patch(path, AT_ONCE)

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


async def _inflight(scene: Scene) -> float:
    """Return what the gateway's Service has in flight; its pods are all that there is."""
    path = f"{GROUP}/v1beta2/namespaces/{scene.namespace}/services/llm-gateway/{INFLIGHT}"
    (item,) = (await scene.raw(path))["items"]
    return quantity(item["value"])
