"""The tests' own control plane: what every end-to-end test relies on."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import netns
from tests.controlplane.__main__ import READY_LINE
from tests.controlplane.api import Api, ApiError
from tests.controlplane.cluster import APISERVER, ControlPlane, KubectlError
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.podlife import COLD_START_ANNOTATION, Behaviour

Json = dict[str, Any]
REPOSITORY = Path(__file__).resolve().parents[2]


CONTAINER: Json = {
    "name": "llm",
    "image": "model:1",
    "resources": {"limits": {"nvidia.com/gpu": "1"}},
}


def deployment(name: str, *, replicas: int = 1, annotations: dict[str, str] | None = None) -> Json:
    labels = {"app": name}
    sidecar = {"name": "forescale", "image": "sidecar:1", "restartPolicy": "Always"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations or {}},
                "spec": {"containers": [CONTAINER], "initContainers": [sidecar]},
            },
        },
    }


async def create(api: Api, namespace: str, body: Json) -> Json:
    return await api.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", body)


def condition(thing: Json, kind: str) -> Json:
    """The condition of that type, {} where there is none."""
    found = (c for c in thing.get("status", {}).get("conditions", []) if c["type"] == kind)
    return next(found, {})


async def test_kubectl_and_the_api_server_are_of_the_version_the_tests_claim(
    controlplane: ControlPlane,
) -> None:
    said = json.loads(await controlplane.kubectl("version", "-o", "json"))
    assert said["clientVersion"]["gitVersion"] == "v1.37.2"
    assert said["serverVersion"]["gitVersion"] == "v1.37.2"
    assert (said["serverVersion"]["major"], said["serverVersion"]["minor"]) == ("1", "37")


async def test_kubectl_hands_back_what_the_api_server_refused(controlplane: ControlPlane) -> None:
    with pytest.raises(KubectlError, match="NotFound") as refusal:
        await controlplane.kubectl("get", "pod", "nobody")
    assert refusal.value.code == 1


async def test_kubectl_that_would_stop_the_pods_of_its_own_loop_is_refused(
    controlplane: ControlPlane,
) -> None:
    with pytest.raises(RuntimeError, match="await"):
        controlplane.kubectl_blocking("version")


async def test_a_pod_goes_from_pending_over_running_to_ready(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    seen: list[Json] = []

    async def note(pod: Json) -> None:
        seen.append(pod)

    kubelet.behaviour = Behaviour(cold_start_seconds=1.0, on_running=note)
    await create(api, namespace, deployment("llm"))
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
    await create(api, namespace, deployment("llm"))
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
    await create(api, namespace, deployment("llm", annotations=own))
    assert len(await kubelet.wait_ready(namespace, 1)) == 1


async def test_a_pod_can_turn_not_ready_and_back(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=0.0)
    await create(api, namespace, deployment("llm"))
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
    await create(api, namespace, deployment("llm"))
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
    await create(api, namespace, deployment("llm"))
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
        async with Kubelet(api, names=["other"], behaviour=behaviour, binds=False) as failing:
            await api.post(f"/api/v1/namespaces/{namespace}/pods", pod)
            await failing.wait_running(namespace, 1)


async def test_an_endpoint_slice_names_the_ready_pods_of_a_service(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=0.0)
    port = {"name": "http", "port": 80, "targetPort": 8000}
    service = {"metadata": {"name": "llm"}, "spec": {"selector": {"app": "llm"}, "ports": [port]}}
    await api.post(f"/api/v1/namespaces/{namespace}/services", service)
    await create(api, namespace, deployment("llm", replicas=2))
    pods = await kubelet.wait_ready(namespace, 2)
    wanted = {pod["status"]["podIP"] for pod in pods}

    def names_them(slices: Json) -> bool:
        endpoints = [e for item in slices["items"] for e in item.get("endpoints") or []]
        ready = [e["addresses"][0] for e in endpoints if e["conditions"]["ready"]]
        return sorted(ready) == sorted(wanted)

    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    await api.until(path, names_them)


async def test_the_real_hpa_controller_looks_at_an_hpa(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=0.0)
    await create(api, namespace, deployment("llm"))
    await kubelet.wait_ready(namespace, 1)
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"}
    value = {"type": "AverageValue", "averageValue": "5"}
    pods = {"metric": {"name": "llm_inference_pending_requests"}, "target": value}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3}
    metrics = [{"type": "Pods", "pods": pods}]
    await api.post(path, {"metadata": {"name": "llm"}, "spec": spec | {"metrics": metrics}})
    found = await api.until(
        f"{path}/llm", lambda hpa: bool(condition(hpa, "ScalingActive")), timeout_seconds=20
    )
    assert condition(found, "AbleToScale")["status"] == "True"
    assert condition(found, "ScalingActive")["reason"] == "FailedGetPodsMetric"


async def test_a_namespace_can_be_created_and_deleted(api: Api) -> None:
    await api.post("/api/v1/namespaces", {"metadata": {"name": "short-lived"}})
    await api.delete("/api/v1/namespaces/short-lived")
    await api.gone("/api/v1/namespaces/short-lived", timeout_seconds=20)


async def test_pods_live_on_over_a_restart_of_the_api_server(
    controlplane: ControlPlane, api: Api, kubelet: Kubelet, namespace: str
) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=0.0)
    await create(api, namespace, deployment("llm"))
    await kubelet.wait_ready(namespace, 1)
    controlplane.restart_apiserver(kill=True)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/llm"
    await api.patch(path, {"spec": {"replicas": 2}})
    assert len(await kubelet.wait_ready(namespace, 2)) == 2


async def test_a_service_account_has_only_the_rights_of_its_own(
    controlplane: ControlPlane, api: Api, namespace: str
) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    await api.post(accounts, {"metadata": {"name": "reader"}})
    kubeconfig = await controlplane.service_account_kubeconfig(namespace, "reader")
    with pytest.raises(KubectlError, match="Forbidden"):
        await controlplane.kubectl(f"--kubeconfig={kubeconfig}", "get", "pods")


async def test_the_audit_log_names_who_asked_for_what(controlplane: ControlPlane, api: Api) -> None:
    with pytest.raises(ApiError):
        await api.get("/api/v1/namespaces/default/pods/audited")
    events = (json.loads(line) for line in controlplane.audit_log.read_text().splitlines())
    asked = [e for e in events if e["requestURI"] == "/api/v1/namespaces/default/pods/audited"]
    assert [(e["user"]["username"], e["verb"]) for e in asked] == [("kubernetes-admin", "get")]


def test_a_second_control_plane_runs_beside_the_first_and_leaves_nothing(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    with ControlPlane(tmp_path / "second") as second:
        assert second.server != controlplane.server
        assert "v1.37.2" in second.kubectl_blocking("version")
        groups = second.pids
        assert len(groups) == 3
    assert [name for name, group in groups.items() if _group_lives(group)] == []
    assert not (tmp_path / "second" / "etcd").exists()
    assert (tmp_path / "second" / f"{APISERVER}.log").exists()


def test_a_component_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = ControlPlane(tmp_path, binary=Path("/bin/false"))
    with pytest.raises(Exception, match="etcd ended with code 1"):
        broken.start()
    assert broken.pids == {}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(how: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.controlplane"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout is not None
        said = _until_ready(owner.stdout)
        folder = next(line.split()[1] for line in said if line.startswith("logs "))
        assert len(_mentioning(folder)) == 3
        owner.send_signal(how)
        assert owner.wait(30) == (-how if how == signal.SIGKILL else 0)
    deadline = time.monotonic() + 5
    while _mentioning(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _mentioning(folder) == []


def _until_ready(lines: Any) -> list[str]:
    said: list[str] = []
    for line in lines:
        said.append(line.strip())
        if READY_LINE in line:
            return said
    raise AssertionError(f"ended before it was ready: {said}")


def _mentioning(folder: str) -> list[int]:
    """The processes that have `folder` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder in path.read_text(errors="replace"):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_way_into_the_network_is_a_line_to_type() -> None:
    assert netns.inside()
    assert netns.enter_line(42).startswith("nsenter -t 42 ")
