"""A cluster that is wrong: its rights, nodes, certificates and replicas of the adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from tests.controlplane import nodes
from tests.controlplane.podstatus import rfc3339
from tests.e2e import adapters
from tests.e2e.adapters import APISERVICES
from tests.e2e.brokenpods import SILENT, made
from tests.e2e.scene import Scene

ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
GROUP = "custom.metrics.k8s.io"
CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps"


def without_right(scene: Scene) -> AbstractAsyncContextManager[None]:
    """The HPA controller may not read custom metrics, as on a hardened cluster."""
    return _without(
        scene,
        "system:controller:horizontal-pod-autoscaler",
        lambda rule: GROUP in rule.get("apiGroups", []),
    )


def without_pods(scene: Scene) -> AbstractAsyncContextManager[None]:
    """The adapter may not list pods, as where somebody has tidied up its role."""
    return _without(scene, "forescale-adapter", lambda rule: rule["resources"] == ["pods"])


@asynccontextmanager
async def _without(
    scene: Scene, role: str, chosen: Callable[[dict[str, Any]], bool]
) -> AsyncIterator[None]:
    """Take rules out of a ClusterRole."""
    rules = (await scene.api.get(f"{ROLES}/{role}"))["rules"]
    kept = [rule for rule in rules if not chosen(rule)]
    assert len(kept) < len(rules)
    await scene.api.patch(f"{ROLES}/{role}", {"rules": kept})
    try:
        yield
    finally:  # it is of the whole run
        await scene.api.patch(f"{ROLES}/{role}", {"rules": rules})


@asynccontextmanager
async def odd_nodes(scene: Scene) -> AsyncIterator[None]:
    """One node's GPUs are shared and one is sick, another's are not handed out; more may come."""
    shared = {"nvidia.com/gpu.sharing-strategy": "time-slicing"}
    await nodes.register(scene.api, "sick", SILENT, gpus=2, labels=shared)
    usable = {"status": {"allocatable": {"nvidia.com/gpu": "1"}}}
    await scene.api.patch("/api/v1/nodes/sick/status", usable)
    await nodes.register(
        scene.api, "bare", SILENT, gpus=0, labels={"nvidia.com/gpu.present": "true"}
    )
    await scene.api.post(CONFIGMAPS, {"metadata": {"name": "cluster-autoscaler-status"}})
    try:
        yield
    finally:  # they are of the whole run
        await scene.api.delete(f"{CONFIGMAPS}/cluster-autoscaler-status")
        for name in ("sick", "bare"):
            await nodes.unregister(scene.api, name)


@asynccontextmanager
async def stale_replica(scene: Scene) -> AsyncIterator[None]:
    """A replica of the adapter that has just ended, is not ready, and of another image."""
    template = (await scene.api.get(adapters.DEPLOYMENT))["spec"]["template"]
    spec = template["spec"] | {"schedulingGates": [{"name": "tests/stale"}]}
    spec["containers"][0]["image"] = "forescale-adapter:0.0.1"
    pod = {"metadata": template["metadata"] | {"name": "stale"}, "spec": spec}
    killed = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": rfc3339(datetime.now(UTC))}
    ended = {"name": "adapter", "image": "", "imageID": "", "ready": False, "restartCount": 1}
    status = {"containerStatuses": [ended | {"lastState": {"terminated": killed}}]}
    async with made(scene, pod, status, namespace=adapters.NAMESPACE):
        yield


@asynccontextmanager
async def untrusted(scene: Scene) -> AsyncIterator[None]:
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
