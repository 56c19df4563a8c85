"""HPAs that are wrong: each for as long as its context lasts, and mended at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tests.e2e.scene import DEPLOYMENT, GPU, HPA, PENDING, Scene

Json = dict[str, Any]

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT}


def _by_pods(name: str, average: str) -> Json:
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Pods", "pods": {"metric": {"name": name}, "target": target}}


TOTAL_BY_VALUE: Json = {
    "type": "Object",
    "object": {
        "metric": {"name": "llm_inference_inflight_requests"},
        "describedObject": TARGET,
        "target": {"type": "Value", "value": "1000"},
    },
}
OWN_TOTAL = {
    "type": "Object",
    "object": TOTAL_BY_VALUE["object"] | {"target": {"type": "AverageValue", "averageValue": "4"}},
}
USAGE = {"type": "Utilization", "averageUtilization": 80}
BY_GPUS = {"type": "Resource", "resource": {"name": "nvidia.com/gpu", "target": USAGE}}
BY_CPU = {"type": "Resource", "resource": {"name": "cpu", "target": USAGE}}


@asynccontextmanager
async def asked_for(scene: Scene, *metrics: Json, **spec: Any) -> AsyncIterator[None]:
    """Let the HPA go by other metrics."""
    path, own = _hpas(scene, HPA), (await scene.hpa())["spec"]
    changed = {"metrics": list(metrics), **spec}
    await scene.api.patch(path, {"spec": changed})
    yield
    await scene.api.patch(path, {"spec": {key: own.get(key) for key in changed}})


def hasty(scene: Scene) -> AbstractAsyncContextManager[None]:
    at_once = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    return asked_for(scene, _by_pods(PENDING, "5"), behavior=at_once)


def mistaken(scene: Scene) -> AbstractAsyncContextManager[None]:
    return asked_for(scene, _by_pods(GPU, "0.8"), TOTAL_BY_VALUE)


def second_hpa(scene: Scene) -> AbstractAsyncContextManager[None]:
    return _another(scene, TARGET, BY_CPU)


def astray(scene: Scene) -> AbstractAsyncContextManager[None]:
    """An HPA of a Deployment that is not there."""
    return _another(scene, TARGET | {"name": "nobody"}, _by_pods(PENDING, "5"), BY_GPUS)


@asynccontextmanager
async def _another(scene: Scene, target: Json, *metrics: Json) -> AsyncIterator[None]:
    spec = {"scaleTargetRef": target, "maxReplicas": 2, "metrics": list(metrics)}
    await scene.api.post(_hpas(scene), {"metadata": {"name": "another"}, "spec": spec})
    yield
    await scene.api.delete(_hpas(scene, "another"))


def endless(scene: Scene) -> AbstractAsyncContextManager[None]:
    """More pods than there are GPUs, and none that could wake the workload at zero."""
    stays = {"scaleDown": {"selectPolicy": "Disabled"}}
    return asked_for(scene, OWN_TOTAL, minReplicas=0, maxReplicas=99, behavior=stays)


def _hpas(scene: Scene, name: str = "") -> str:
    path = f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers"
    return f"{path}/{name}" if name else path
