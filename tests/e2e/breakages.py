"""The breakages: one thing after another of a cluster that works, broken and mended again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tests.controlplane.api import STRATEGIC_PATCH
from tests.e2e.adapters import APISERVICES
from tests.e2e.scene import DEPLOYMENT, GPU, HPA, PENDING, Scene

Json = dict[str, Any]
Breakage = Callable[[Scene], AbstractAsyncContextManager[None]]

ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:controller:horizontal-pod-autoscaler"
GROUP = "custom.metrics.k8s.io"
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT}
SILENT = "10.77.99.99"  # nobody's, and nobody listens there
ELSEWHERE = "node-of-nobody"  # its kubelet will not run the pod


def _by_pods(name: str, average: str) -> Json:
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Pods", "pods": {"metric": {"name": name}, "target": target}}


TOTAL_BY_VALUE = {
    "type": "Object",
    "object": {
        "metric": {"name": "llm_inference_inflight_requests"},
        "describedObject": TARGET,
        "target": {"type": "Value", "value": "1000"},
    },
}
USAGE = {"type": "Utilization", "averageUtilization": 80}
BY_GPUS = {"type": "Resource", "resource": {"name": "nvidia.com/gpu", "target": USAGE}}
BY_CPU = {"type": "Resource", "resource": {"name": "cpu", "target": USAGE}}


@asynccontextmanager
async def _asked_for(scene: Scene, *metrics: Json, **spec: Json) -> AsyncIterator[None]:
    """Let the HPA go by other metrics."""
    path, own = _hpas(scene, HPA), (await scene.hpa())["spec"]
    changed = {"metrics": list(metrics), **spec}
    await scene.api.patch(path, {"spec": changed})
    yield
    await scene.api.patch(path, {"spec": {key: own.get(key) for key in changed}})


def _hasty(scene: Scene) -> AbstractAsyncContextManager[None]:
    at_once = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    return _asked_for(scene, _by_pods(PENDING, "5"), behavior=at_once)


def _mistaken(scene: Scene) -> AbstractAsyncContextManager[None]:
    return _asked_for(scene, _by_pods(GPU, "0.8"), TOTAL_BY_VALUE)


@asynccontextmanager
async def _second_hpa(scene: Scene) -> AsyncIterator[None]:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 2, "metrics": [BY_CPU]}
    await scene.api.post(_hpas(scene), {"metadata": {"name": "by-cpu"}, "spec": spec})
    yield
    await scene.api.delete(_hpas(scene, "by-cpu"))


@asynccontextmanager
async def _without_room(scene: Scene) -> AsyncIterator[None]:
    """A pod of the HPA that no node takes, and that has nothing of what it should have."""
    stuck = _pod("stuck", {"app": "llm-inference"}, {"name": "llm", "image": "llm:1"})
    stuck["metadata"]["annotations"] = {"forescale.dev/targt": "inflight=8"}
    stuck["spec"]["schedulingGates"] = [{"name": "tests/no-room"}]
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    async with _made(scene, stuck, {"conditions": [unplaced]}), _asked_for(scene, BY_GPUS):
        yield


@asynccontextmanager
async def _unheard(scene: Scene) -> AsyncIterator[None]:
    """A pod that runs and is ready, by its port alone, and whose sidecar says nothing."""
    port = {"name": "forescale", "containerPort": 9401}
    model = {"name": "llm", "image": "llm:1", "ports": [port]}
    silent = _pod("silent", {}, model | {"readinessProbe": {"tcpSocket": {"port": 8000}}})
    silent["spec"]["nodeName"] = ELSEWHERE
    at = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": at}
    runs = {"name": "llm", "ready": True, "state": {"running": {"startedAt": at}}}
    runs |= {"restartCount": 0, "image": "llm:1", "imageID": ""}
    addresses = {"podIP": SILENT, "podIPs": [{"ip": SILENT}]}
    status = {"phase": "Running", "conditions": [ready], "containerStatuses": [runs], **addresses}
    async with _made(scene, silent, status):
        yield


@asynccontextmanager
async def _without_right(scene: Scene) -> AsyncIterator[None]:
    """The HPA controller may not read custom metrics, as on a hardened cluster."""
    rules = (await scene.api.get(ROLE))["rules"]
    kept = [rule for rule in rules if GROUP not in rule.get("apiGroups", [])]
    assert len(kept) < len(rules)
    await scene.api.patch(ROLE, {"rules": kept})
    try:
        yield
    finally:  # it is of the whole run
        await scene.api.patch(ROLE, {"rules": rules})


@asynccontextmanager
async def _untrusted(scene: Scene) -> AsyncIterator[None]:
    """Somebody takes the caBundle away as often as the adapter puts it back."""

    async def take() -> None:
        while True:
            await scene.api.patch(f"{APISERVICES}/v1beta1.{GROUP}", {"spec": {"caBundle": None}})
            await asyncio.sleep(0.1)

    taking = asyncio.create_task(take())
    try:
        yield
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)


# Each with what the doctor says of it; what it breaks beside that is not held.
BREAKAGES: Mapping[Breakage, set[tuple[str, str]]] = {
    _hasty: {("WARN", "hpa-pending"), ("WARN", "hpa-lulls")},
    _mistaken: {("WARN", "hpa-units"), ("WARN", "hpa-values")},
    _second_hpa: {("FAIL", "hpa-conflicts")},
    _without_room: {
        ("FAIL", "sources"), ("WARN", "readiness"), ("WARN", "annotations"), ("WARN", "hpa-pods"),
        ("FAIL", "hpa-requests"), ("FAIL", "hpa-metrics"),
    },
    _without_right: {("FAIL", "hpa-rights")},
    _unheard: {("FAIL", "sources"), ("WARN", "readiness")},
    _untrusted: {("FAIL", "certificates")},
}  # fmt: skip


async def found_in_turn(scene: Scene) -> None:
    """Each breakage is named by its own checks, which are well again once it is mended."""
    usual, mended = _troubles(await scene.doctor()), set[str]()
    for breakage, finds in BREAKAGES.items():
        checks = {check for _, check in finds}
        assert not checks & {check for _, check in usual}

        def seen(found: set[tuple[str, str]], finds: Any = finds, well: Any = mended) -> bool:
            return finds <= found and not well & {check for _, check in found}

        async with breakage(scene):
            await _until(scene, seen)
        mended = checks
    await _until(scene, lambda found: found == usual)


async def _until(scene: Scene, holds: Callable[[set[tuple[str, str]]], bool]) -> None:
    """Ask the doctor until it says so: controllers take a moment to notice."""
    deadline = time.monotonic() + 20.0
    while not holds(found := _troubles(await scene.doctor())):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)


def _troubles(found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(level, check) for level, check in found if level != "PASS"}


def _hpas(scene: Scene, name: str = "") -> str:
    path = f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers"
    return f"{path}/{name}" if name else path


def _pod(name: str, labels: Mapping[str, str], container: Json) -> Json:
    labelled = {"name": name, "labels": {"forescale.dev/source": "sidecar", **labels}}
    return {"metadata": labelled, "spec": {"containers": [container]}}


@asynccontextmanager
async def _made(scene: Scene, pod: Json, status: Json) -> AsyncIterator[None]:
    """Make a pod that no kubelet takes, with that status."""
    path, name = f"/api/v1/namespaces/{scene.namespace}/pods", pod["metadata"]["name"]
    await scene.api.post(path, pod)
    change = {"status": status}
    await scene.api.patch(f"{path}/{name}/status", change, content_type=STRATEGIC_PATCH)
    yield
    await scene.api.delete(f"{path}/{name}", {"gracePeriodSeconds": 0})
