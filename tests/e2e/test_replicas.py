"""The replicas that the adapter asks for are those that the real controller sets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.controlplane.api import ApiError
from tests.e2e.scene import DEPLOYMENT, Scene

METRIC = "forescale_desired_replicas"
# No forecast is believed before half an hour: what is served of it here is the present total.
AHEAD = "nvidia_gpu_utilization_forecast"
FOLLOWERS = {"follower": METRIC, "ahead": AHEAD}


async def test_ten_become_eleven_where_the_tolerance_is_nothing(scene: Scene) -> None:
    """A tenth more is no change to an HPA by itself.

    What is scaled are Deployments whose pods wait for a node for ever: an HPA of an Object divides
    by the replicas, whatever they do, and ten pods need not run.
    """
    scene.llm.busy_percent = 10
    await scene.adapters.install()
    await scene.deploy(hpa=False)
    at = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments"
    with pytest.raises(ApiError, match=r"annotate its pod template forescale\.dev/forecast"):
        await scene.total(AHEAD)
    noted = {"forescale.dev/target": "gpu=1", "forescale.dev/forecast": "act"}
    target = {"metadata": {"annotations": noted}}
    await scene.api.patch(f"{at}/{DEPLOYMENT}", {"spec": {"template": target}})
    hpas = f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers"
    for name, metric in FOLLOWERS.items():
        await scene.api.post(at, _follower(name))
        await scene.api.post(hpas, _autoscaler(name, metric))
    for name, metric in FOLLOWERS.items():
        assert await _until(scene, name, metric, 10) == {"value": 10.0, "replicas": 10}

    scene.llm.busy_percent = 11
    assert (await _until(scene, "ahead", AHEAD, 11))["replicas"] == 11
    assert await _until(scene, "follower", METRIC, 11) == {"value": 11.0, "replicas": 11}
    (of_the_pod,) = (await scene.values(AHEAD)).values()
    assert 10.0 < of_the_pod <= 11.0


async def _until(scene: Scene, name: str, metric: str, wanted: int) -> dict[str, float]:
    """Wait until the follower has so many replicas, and say what was asked for."""
    path = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/{name}"

    async def replicas() -> int:
        return int((await scene.api.get(path))["spec"]["replicas"])

    for _ in range(120):
        if await replicas() == wanted:
            break
        await asyncio.sleep(0.5)
    return {"value": await scene.total(metric), "replicas": await replicas()}


def _follower(name: str) -> dict[str, Any]:
    pod = {
        "nodeSelector": {"no-node": "has-this"},
        "containers": [{"name": "waits", "image": "none"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 9,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def _autoscaler(name: str, metric: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment"}
    target = {"type": "AverageValue", "averageValue": "1"}
    described = {**reference, "name": DEPLOYMENT}
    asked = {"describedObject": described, "metric": {"name": metric}, "target": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {**reference, "name": name},
            "minReplicas": 1,
            "maxReplicas": 20,
            "metrics": [{"type": "Object", "object": asked}],
            "behavior": {"scaleUp": {"tolerance": "0"}, "scaleDown": {"tolerance": "0"}},
        },
    }
