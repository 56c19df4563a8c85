"""Followers: Deployments whose pods never start, scaled by HPAs on another's metric.

An HPA of an Object divides by the replicas, whatever they do: many pods need not run.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from tests.controlplane.api import ApiError
from tests.e2e.scene import DEPLOYMENT, Scene


class Followers:
    """Owns the followers of a scene's workload."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._deployments = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments"

    async def annotate(self, noted: dict[str, str]) -> None:
        """Write annotations on the template of the workload's pods, and wait for the new ones."""
        path = f"{self._deployments}/{DEPLOYMENT}"
        template = {"template": {"metadata": {"annotations": noted}}}
        await self._scene.api.patch(path, {"spec": template})
        await self._scene.api.until(path, _is_rolled_out)

    async def add(self, name: str, metric: str, average: str, replicas: int = 1) -> None:
        """Create one, with so many replicas, that goes by the workload's metric."""
        namespace = self._scene.namespace
        hpas = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        await self._scene.api.post(self._deployments, _follower(name, replicas))
        await self._scene.api.post(hpas, _autoscaler(name, metric, average))

    async def replicas(self, name: str) -> int:
        found = await self._scene.api.get(f"{self._deployments}/{name}")
        return int(found["spec"]["replicas"])

    async def total(self, metric: str, wanted: float) -> float:
        """Wait until the workload's total is that, a minute at most; return what it is."""
        for _ in range(120):
            with suppress(ApiError):  # none yet: the new pod has just turned ready
                if await self._scene.total(metric) == wanted:
                    break
            await asyncio.sleep(0.5)
        return await self._scene.total(metric)

    async def until(self, name: str, *wanted: int) -> int:
        """Wait until it has one of these numbers of replicas, a minute at most; return how many."""
        for _ in range(120):
            if await self.replicas(name) in wanted:
                break
            await asyncio.sleep(0.5)
        return await self.replicas(name)


def _is_rolled_out(deployment: dict[str, Any]) -> bool:
    status, generation = deployment["status"], deployment["metadata"]["generation"]
    counts = {status.get(f"{which}eplicas", 0) for which in ("r", "updatedR", "availableR")}
    return status.get("observedGeneration", 0) >= generation and counts == {1}


def _follower(name: str, replicas: int) -> dict[str, Any]:
    pod = {
        # Pending for ever: nothing binds them, and so nothing is started for them.
        "schedulingGates": [{"name": "forescale.dev/never"}],
        "containers": [{"name": "waits", "image": "none"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def _autoscaler(name: str, metric: str, average: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment"}
    target = {"type": "AverageValue", "averageValue": average}
    described = {**reference, "name": DEPLOYMENT}
    asked = {"describedObject": described, "metric": {"name": metric}, "target": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {**reference, "name": name},
            "minReplicas": 1,
            "maxReplicas": 40,
            "metrics": [{"type": "Object", "object": asked}],
            "behavior": {"scaleUp": {"tolerance": "0"}, "scaleDown": {"tolerance": "0"}},
        },
    }
