"""Pods that are wrong: each there for as long as its context lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.controlplane.api import STRATEGIC_PATCH
from tests.e2e import impostors
from tests.e2e.brokenhpas import BY_GPUS, asked_for
from tests.e2e.scene import Scene

Json = dict[str, Any]

SILENT = "10.77.99.99"  # nobody's, and nobody listens there
ELSEWHERE = "node-of-nobody"  # its kubelet will not run the pod


@asynccontextmanager
async def without_room(scene: Scene) -> AsyncIterator[None]:
    """A pod of the HPA that no node takes, and that has nothing of what it should have."""
    stuck = pod("stuck", {"app": "llm-inference"}, {"name": "llm", "image": "llm:1"})
    stuck["metadata"]["annotations"] = {"forescale.dev/targt": "inflight=8"}
    stuck["spec"]["schedulingGates"] = [{"name": "tests/no-room"}]
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    async with made(scene, stuck, {"conditions": [unplaced]}), asked_for(scene, BY_GPUS):
        yield


@asynccontextmanager
async def unheard(scene: Scene) -> AsyncIterator[None]:
    """A pod that runs and is ready, by its port alone, and whose sidecar says nothing."""
    port = {"name": "forescale", "containerPort": 9401}
    model = {"name": "llm", "image": "llm:1", "ports": [port]}
    silent = pod("silent", {}, model | {"readinessProbe": {"tcpSocket": {"port": 8000}}})
    silent["spec"]["nodeName"] = ELSEWHERE
    at = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": at}
    runs = {"name": "llm", "ready": True, "state": {"running": {"startedAt": at}}}
    runs |= {"restartCount": 0, "image": "llm:1", "imageID": ""}
    addresses = {"podIP": SILENT, "podIPs": [{"ip": SILENT}]}
    status = {"phase": "Running", "conditions": [ready], "containerStatuses": [runs], **addresses}
    async with made(scene, silent, status):
        yield


@asynccontextmanager
async def without_figures(scene: Scene) -> AsyncIterator[None]:
    """A server that was started without its metrics, GPUs of nobody, and a sidecar of old."""
    llm = scene.llm
    usual = llm.sidecar_arguments, llm.gpu_count, llm.visible_devices
    llm.sidecar_arguments = lambda pod: [
        *("--engine", "sglang", "--engine-url", f"http://{pod['status']['podIP']}:8000/off"),
    ]
    llm.gpu_count, llm.visible_devices = 2, "all"
    model = {
        "name": "llm",
        "image": "llm:1",
        "ports": [{"name": "forescale", "containerPort": 9401}],
    }
    model |= {"readinessProbe": {"httpGet": {"port": 8000}}}
    model |= {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    old = pod("old", {}, model)
    old["metadata"]["annotations"] = {impostors.ANNOTATION: "old-release"}
    try:
        async with made(scene, pod("mute", {}, model)), made(scene, old):
            yield
    finally:
        llm.sidecar_arguments, llm.gpu_count, llm.visible_devices = usual


def pod(name: str, labels: Mapping[str, str], container: Json) -> Json:
    labelled = {"name": name, "labels": {"forescale.dev/source": "sidecar", **labels}}
    return {"metadata": labelled, "spec": {"containers": [container]}}


@asynccontextmanager
async def made(
    scene: Scene, pod: Json, status: Json | None = None, *, namespace: str = ""
) -> AsyncIterator[None]:
    """Make a pod; with a status one that no kubelet takes."""
    path = f"/api/v1/namespaces/{namespace or scene.namespace}/pods"
    name, change = pod["metadata"]["name"], {"status": status}
    await scene.api.post(path, pod)
    if status is not None:
        await scene.api.patch(f"{path}/{name}/status", change, content_type=STRATEGIC_PATCH)
    try:
        yield
    finally:
        await scene.api.delete(f"{path}/{name}", {"gracePeriodSeconds": 0})
