"""The tests' fake kubelet: pods on a real API server live and die as on a real node."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from tests.controlplane.api import Api
from tests.controlplane.cluster import SCHEDULER, ControlPlane
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.nodegroup import is_unschedulable
from tests.controlplane.podlife import COLD_START_ANNOTATION, Behaviour
from tests.controlplane.workloads import CONTAINER, condition, create_deployment, deployment

Json = dict[str, Any]


async def test_a_pod_goes_from_pending_over_running_to_ready(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    seen: list[Json] = []

    async def note(pod: Json) -> None:
        seen.append(pod)

    kubelet.behaviour = Behaviour(cold_start_seconds=1.0, on_running=note)
    await create_deployment(api, namespace, deployment("llm"))
    [running] = await kubelet.wait_running(namespace, 1)
    began = time.monotonic()
    [ready] = await kubelet.wait_ready(namespace, 1)
    assert 0.5 < time.monotonic() - began < 5
    assert [pod["status"]["phase"] for pod in seen] == ["Pending"]
    assert running["status"]["phase"] == "Running"
    assert condition(running, "Ready")["status"] == "False"
    assert condition(ready, "Ready")["status"] == "True"
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/llm"
    await api.until(path, lambda found: found["status"].get("readyReplicas") == 1)


async def test_a_loading_pod_has_its_ready_condition_from_before_its_container(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=math.inf)
    await create_deployment(api, namespace, deployment("llm"))
    [pod] = await kubelet.wait_running(namespace, 1)
    [llm] = pod["status"]["containerStatuses"]
    [sidecar] = pod["status"]["initContainerStatuses"]
    assert condition(pod, "Ready")["lastTransitionTime"] <= llm["state"]["running"]["startedAt"]
    assert condition(pod, "Ready")["reason"] == "ContainersNotReady"
    assert (llm["ready"], llm["started"], llm["restartCount"]) == (False, True, 0)
    assert (sidecar["ready"], sidecar["started"]) == (True, True)
    assert pod["status"]["podIP"].startswith("10.77.")


async def test_a_pod_says_its_own_cold_start(api: Api, kubelet: Kubelet, namespace: str) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=math.inf)
    own = {COLD_START_ANNOTATION: "0"}
    await create_deployment(api, namespace, deployment("llm", annotations=own))
    assert len(await kubelet.wait_ready(namespace, 1)) == 1


async def test_a_pod_can_turn_not_ready_and_back(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=0.0)
    await create_deployment(api, namespace, deployment("llm"))
    [pod] = await kubelet.wait_ready(namespace, 1)
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    await kubelet.set_ready(namespace, name, is_ready=False)
    assert condition(await api.get(path), "Ready")["status"] == "False"
    await kubelet.set_ready(namespace, name, is_ready=True)
    found = await api.get(path)
    assert condition(found, "Ready")["status"] == "True"
    assert "reason" not in condition(found, "Ready")


async def test_a_restarted_container_counts_it_and_starts_cold(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    restarted: list[str] = []

    async def note(_: Json, container: str) -> None:
        restarted.append(container)

    kubelet.behaviour = Behaviour(cold_start_seconds=0.2, on_restarted=note)
    await create_deployment(api, namespace, deployment("llm"))
    [before] = await kubelet.wait_ready(namespace, 1)
    await kubelet.restart_container(namespace, before["metadata"]["name"], exit_code=137)
    [cold] = kubelet.running(namespace)
    [llm] = cold["status"]["containerStatuses"]
    assert (llm["restartCount"], llm["ready"]) == (1, False)
    assert llm["lastState"]["terminated"]["exitCode"] == 137
    assert restarted == ["llm"]
    [warm] = await kubelet.wait_ready(namespace, 1)
    assert warm["metadata"]["uid"] == before["metadata"]["uid"]


async def test_a_deleted_pod_is_stopped_then_gone_and_replaced_at_another_address(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    stopped: list[str] = []

    async def note(pod: Json) -> None:
        stopped.append(pod["metadata"]["name"])

    kubelet.behaviour = Behaviour(cold_start_seconds=0.0, on_stopped=note)
    await create_deployment(api, namespace, deployment("llm"))
    [old] = await kubelet.wait_ready(namespace, 1)
    path = f"/api/v1/namespaces/{namespace}/pods/{old['metadata']['name']}"
    await api.delete(path)
    await api.gone(path, timeout_seconds=10)
    assert stopped == [old["metadata"]["name"]]
    await kubelet.until(lambda: old["metadata"]["uid"] not in _uids(kubelet.pods(namespace)))
    [new] = await kubelet.wait_ready(namespace, 1)
    assert new["status"]["podIP"] != old["status"]["podIP"]


def _uids(pods: list[Json]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


async def test_a_failing_hook_is_the_failure_of_its_test(api: Api, namespace: str) -> None:
    async def fail(_: Json) -> None:
        raise ValueError("no such model")

    behaviour = Behaviour(on_running=fail)
    pod = {"metadata": {"name": "llm"}, "spec": {"nodeName": "other", "containers": [CONTAINER]}}
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="no such model")):
        async with Kubelet(api, nodes=["other"], behaviour=behaviour, binds=False) as failing:
            await api.post(f"/api/v1/namespaces/{namespace}/pods", pod)
            await failing.wait_running(namespace, 1)


async def test_the_real_scheduler_binds_by_gpus(
    controlplane: ControlPlane, api: Api, kubelet: Kubelet, namespace: str
) -> None:
    kubelet.behaviour, kubelet.binds = Behaviour(cold_start_seconds=0.0), False
    await kubelet.add_node("one-gpu", gpus=1, labels={"size": "small"})
    await controlplane.start_component(SCHEDULER)
    try:
        small = {"nodeSelector": {"size": "small"}}
        await create_deployment(api, namespace, deployment("llm", replicas=2, pod_spec=small))
        [pod] = await kubelet.wait_ready(namespace, 1)
        assert pod["spec"]["nodeName"] == "one-gpu"
        assert pod["status"]["hostIP"] == kubelet.nodes["one-gpu"]
        pods = f"/api/v1/namespaces/{namespace}/pods"
        await api.until(pods, lambda found: any(map(is_unschedulable, found["items"])))
    finally:
        await controlplane.stop_component(SCHEDULER)
