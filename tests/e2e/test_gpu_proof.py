"""Whose a GPU is, on the real API server: by the pod's status, and by a claim and its slice."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.e2e.scene import GPU, Scene, refusal

STRATEGIC_PATCH = "application/strategic-merge-patch+json"
DRA = "/apis/resource.k8s.io/v1"
DRIVER = "gpu.nvidia.com"
OWN, OTHER = 75, 7  # percent of the two GPUs that every sidecar here sees

Json = dict[str, Any]


async def test_of_all_gpus_of_the_node_each_pod_is_given_the_one_that_its_objects_name(
    scene: Scene,
) -> None:
    scene.llm.gpu_count, scene.llm.visible_devices = 2, "all"
    scene.llm.busy_percent = OWN  # of the first one
    await scene.adapters.install()
    await scene.deploy(hpa=False, replicas=2)
    by_status, by_claim = sorted(scene.llm.pods)
    await until_refused(scene, "names no devices and it has no ResourceClaim")
    for pod in scene.llm.pods.values():
        pod.gpus.set(1, busy_percent=OTHER)
    first, second = scene.llm.pods[by_status].gpus.uuids
    await status(scene, by_status, await allocated(scene, by_status, first))
    await claim(scene, second)
    await status(scene, by_claim, claimed())
    await until(scene, {by_status: OWN, by_claim: OTHER})


async def until_refused(scene: Scene, words: str) -> None:
    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{scene.namespace}/pods/*/{GPU}"
    deadline = time.monotonic() + 30.0
    while words not in (said := str(await refusal(scene.api.get(path)))):
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.3)


async def until(scene: Scene, wanted: dict[str, float]) -> None:
    """Wait for these values within NVML's and the window's ways of rounding them."""
    deadline = time.monotonic() + 60.0
    while True:
        found = await scene.until_served(GPU, set(wanted))
        if all(abs(found[name] - value) < 1 for name, value in wanted.items()):
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.5)


async def status(scene: Scene, name: str, changes: Json) -> None:
    """Write a part of a pod's status, as its kubelet or the scheduler would."""
    path = f"/api/v1/namespaces/{scene.namespace}/pods/{name}/status"
    await scene.api.patch(path, {"status": changes}, content_type=STRATEGIC_PATCH)


async def allocated(scene: Scene, name: str, uuid: str) -> Json:
    """Return the container's whole status with its device in it: a patch replaces the list."""
    pod = await scene.api.get(f"/api/v1/namespaces/{scene.namespace}/pods/{name}")
    (server,) = pod["status"]["containerStatuses"]
    resource = {"name": "nvidia.com/gpu", "resources": [{"resourceID": uuid, "health": "Healthy"}]}
    return {"containerStatuses": [server | {"allocatedResourcesStatus": [resource]}]}


def claimed() -> Json:
    mapping = {
        "containerName": "llm-server",
        "resourceName": "nvidia.com/gpu",
        "requestName": "container-0-request-0",
    }
    made = {"resourceClaimName": "llm-extended", "requestMappings": [mapping]}
    return {"extendedResourceClaimStatus": made}


async def claim(scene: Scene, uuid: str) -> None:
    """Write the slice of the driver, and a claim as the scheduler allocates it."""
    pool = f"node-of-{scene.namespace}"
    device = {"name": "gpu-1", "attributes": {"uuid": {"string": uuid}}}
    await scene.api.post(
        f"{DRA}/resourceslices",
        {
            "metadata": {"name": pool},
            "spec": {
                "driver": DRIVER,
                "pool": {"name": pool, "generation": 1, "resourceSliceCount": 1},
                "allNodes": True,
                "devices": [device],
            },
        },
    )
    request = {
        "name": "container-0-request-0",
        "exactly": {"deviceClassName": DRIVER, "allocationMode": "ExactCount", "count": 1},
    }
    claims = f"{DRA}/namespaces/{scene.namespace}/resourceclaims"
    made = {"metadata": {"name": "llm-extended"}, "spec": {"devices": {"requests": [request]}}}
    await scene.api.post(claims, made)
    result = {"request": request["name"], "driver": DRIVER, "pool": pool, "device": "gpu-1"}
    allocation = {"devices": {"results": [result]}}
    await scene.api.patch(f"{claims}/llm-extended/status", {"status": {"allocation": allocation}})
