"""The tests' own control plane: what every end-to-end test relies on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import build, netns
from tests.controlplane.__main__ import READY_LINE
from tests.controlplane.api import Api, ApiError
from tests.controlplane.cluster import APISERVER, ControlPlane, KubectlError
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.podlife import Behaviour
from tests.controlplane.workloads import condition, create_deployment, deployment

Json = dict[str, Any]
REPOSITORY = Path(__file__).resolve().parents[2]


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


async def test_an_endpoint_slice_names_the_ready_pods_of_a_service(
    api: Api, kubelet: Kubelet, namespace: str
) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=0.0)
    port = {"name": "http", "port": 80, "targetPort": 8000}
    service = {"metadata": {"name": "llm"}, "spec": {"selector": {"app": "llm"}, "ports": [port]}}
    await api.post(f"/api/v1/namespaces/{namespace}/services", service)
    await create_deployment(api, namespace, deployment("llm", replicas=2))
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
    await create_deployment(api, namespace, deployment("llm"))
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


@pytest.mark.parametrize("kill", [False, True])
async def test_pods_live_on_over_a_restart_of_the_api_server(
    controlplane: ControlPlane, api: Api, kubelet: Kubelet, namespace: str, *, kill: bool
) -> None:
    kubelet.behaviour = Behaviour(cold_start_seconds=0.0)
    await create_deployment(api, namespace, deployment("llm"))
    await kubelet.wait_ready(namespace, 1)
    await controlplane.restart_apiserver(kill=kill)
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
def test_no_process_outlives_the_one_that_started_it(
    controlplane: ControlPlane, tmp_path: Path, how: signal.Signals
) -> None:
    command = [sys.executable, "-m", "tests.controlplane"]
    environment = os.environ | {"TMPDIR": str(tmp_path), build.PREBUILT: str(controlplane.binary)}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
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


def _until_ready(lines: Iterable[str]) -> list[str]:
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
