"""The cluster's own controllers with our groups: a version that is broken, namespaces that go."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from typing import Any

from tests.controlplane.workloads import condition
from tests.e2e.adapters import APISERVICES
from tests.e2e.adapters import EXTERNAL as EXTERNAL_NAME
from tests.e2e.clusterdiscovery import (
    EXTERNAL,
    controllers_read_discovery_alone,
    discovery_is_current,
)
from tests.e2e.scene import GPU, GROUP, Scene
from tests.e2e.test_adapter_life import delete_a_namespace
from tests.e2e.test_resource import until

Json = dict[str, Any]

PREFERRED = f"{APISERVICES}/v1beta2.custom.metrics.k8s.io"
HPA_CONTROLLER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"


async def test_controllers_read_discovery_alone_and_go_on_whatever_of_it_is_down(
    scene: Scene,
) -> None:
    begin = scene.controlplane.audit_log.stat().st_size
    scene.adapters.arguments = ["--external-enabled", "true"]
    await scene.adapters.install()
    await scene.deploy()
    await scene.until_hpa_reads(GPU)
    await scene.api.until(f"{APISERVICES}/{EXTERNAL_NAME}", is_available)
    await until(lambda: is_current(scene), 15)
    await the_hpa_reads_the_other_version_while_one_is_broken(scene)

    for pod in scene.llm.pods.values():
        pod.sidecar.kill()
        pod.model.kill()
    assert await delete_a_namespace(scene) < 15
    await a_namespace_waits_for_the_adapter_and_no_longer(scene)
    seen = controllers_read_discovery_alone(scene, begin)
    assert ("namespace-controller", "deletecollection") in seen


def is_available(found: Json) -> bool:
    return condition(found, "Available").get("status") == "True"


async def is_current(scene: Scene) -> bool:
    """The aggregated discovery hears of a new APIService a moment after it is available."""
    try:
        await discovery_is_current(scene, {EXTERNAL: ["v1beta1"]})
    except (AssertionError, KeyError):
        return False
    return True


async def the_hpa_reads_the_other_version_while_one_is_broken(scene: Scene) -> None:
    await the_hpa_has_read(scene, "v1beta2")
    right = (await scene.api.get(PREFERRED))["spec"]["service"]
    nobody = {"name": "nobody", "namespace": scene.namespace}
    await scene.api.patch(PREFERRED, {"spec": {"service": nobody}})
    await the_hpa_has_read(scene, "v1beta1")
    active = condition(await scene.hpa(), "ScalingActive")
    assert active["reason"] == "ValidMetricFound", active
    await scene.api.patch(PREFERRED, {"spec": {"service": right}})
    await the_hpa_has_read(scene, "v1beta2")


async def the_hpa_has_read(scene: Scene, version: str) -> None:
    """Wait until the controller has an answer by this version, asked from now on."""
    begin = scene.controlplane.audit_log.stat().st_size
    path = f"{GROUP}/{version}/namespaces/{scene.namespace}/pods/"

    async def answered() -> bool:
        return any(
            entry["requestURI"].startswith(path) and entry["responseStatus"]["code"] == 200
            for entry in asked_by_the_hpa(scene, begin)
        )

    await until(answered, 20)


def asked_by_the_hpa(scene: Scene, begin: int) -> Iterator[Json]:
    with scene.controlplane.audit_log.open() as log:
        log.seek(begin)
        for line in log:
            if HPA_CONTROLLER in line and line.endswith("\n"):
                yield json.loads(line)


async def a_namespace_waits_for_the_adapter_and_no_longer(scene: Scene) -> None:
    """Kubernetes deletes no namespace while a group is silent; what is in it goes all the same."""
    for process in scene.adapters.processes.values():
        await asyncio.to_thread(process.kill)
    name = f"waits-{secrets.token_hex(4)}"
    path = f"/api/v1/namespaces/{name}"
    await scene.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    await scene.api.post(f"{path}/configmaps", {"metadata": {"name": "content"}})
    await scene.api.delete(path)
    found = await scene.api.until(
        path,
        lambda found: condition(found, "NamespaceDeletionDiscoveryFailure").get("status") == "True",
    )
    assert "metrics.k8s.io" in condition(found, "NamespaceDeletionDiscoveryFailure")["message"]
    await scene.api.gone(f"{path}/configmaps/content")
    await scene.adapters.crash()
    await scene.api.gone(path, timeout_seconds=45)
