"""The replicas that the adapter asks for are those that the real controller sets."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.scene import DEPLOYMENT, Scene

METRIC = "forescale_desired_replicas"
FOLLOWER = "follower"
LABELS = {"app": FOLLOWER}


async def test_ten_become_eleven_where_the_tolerance_is_nothing(scene: Scene) -> None:
    """A tenth more is no change to an HPA by itself.

    What is scaled is a Deployment whose pods wait for a node for ever: an HPA of an Object divides
    by the replicas, whatever they do, and ten pods need not run.
    """
    scene.llm.busy_percent = 10
    await scene.adapters.install()
    await scene.deploy(hpa=False)
    at = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments"
    target = {"metadata": {"annotations": {"forescale.dev/target": "gpu=1"}}}
    await scene.api.patch(f"{at}/{DEPLOYMENT}", {"spec": {"template": target}})
    await scene.api.post(at, _follower())
    hpas = f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers"
    await scene.api.post(hpas, _autoscaler())
    assert await _until(scene, 10) == {"value": 10.0, "replicas": 10}

    scene.llm.busy_percent = 11
    assert await _until(scene, 11) == {"value": 11.0, "replicas": 11}


async def _until(scene: Scene, wanted: int) -> dict[str, float]:
    """Wait until the follower has so many replicas, and say what was asked for."""
    path = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/{FOLLOWER}"

    async def replicas() -> int:
        return int((await scene.api.get(path))["spec"]["replicas"])

    for _ in range(120):
        if await replicas() == wanted:
            break
        await asyncio.sleep(0.5)
    return {"value": await scene.total(METRIC), "replicas": await replicas()}


def _follower() -> dict[str, Any]:
    pod = {
        "nodeSelector": {"no-node": "has-this"},
        "containers": [{"name": "waits", "image": "none"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": FOLLOWER},
        "spec": {
            "replicas": 9,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
        },
    }


def _autoscaler() -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment"}
    target = {"type": "AverageValue", "averageValue": "1"}
    described = {**reference, "name": DEPLOYMENT}
    metric = {"describedObject": described, "metric": {"name": METRIC}, "target": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": FOLLOWER},
        "spec": {
            "scaleTargetRef": {**reference, "name": FOLLOWER},
            "minReplicas": 1,
            "maxReplicas": 20,
            "metrics": [{"type": "Object", "object": metric}],
            "behavior": {"scaleUp": {"tolerance": "0"}, "scaleDown": {"tolerance": "0"}},
        },
    }
