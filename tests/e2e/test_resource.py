"""The HPA of the tutorials, `Resource` on `nvidia.com/gpu`, beside a real metrics-server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.api import ApiError
from tests.controlplane.workloads import condition
from tests.e2e import metricsserver
from tests.e2e.adapters import APISERVICES, NAMESPACE
from tests.e2e.asking import Asked, asking
from tests.e2e.clusterdiscovery import controllers_read_discovery_alone, discovery_is_current
from tests.e2e.impostors import ANNOTATION
from tests.e2e.llmpods import ROOT
from tests.e2e.metricsserver import MetricsServer, NodeMetrics
from tests.e2e.rights import each_right_of_an_overlay_is_needed
from tests.e2e.scene import HPA, PENDING, Scene

Json = dict[str, Any]

COMPONENT = ROOT / "manifests" / "components" / "resource-metrics"
NAME = "v1beta1.metrics.k8s.io"
GPU = "nvidia.com/gpu"
HPAS = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"
MISSING = "missing request for nvidia.com/gpu"
NONE: Json = {"requests": {"cpu": "1"}}
ONE: Json = {"limits": {GPU: "1"}}
ZERO: Json = {"limits": {GPU: "0"}}
CPU_PERCENT = range(20, 29)  # one core of four and a little
POD_LEVEL: Json = {"resources": {"requests": {"cpu": "2"}}}


def shape(*containers: Json, native: Json | None = None, **spec: Json) -> Json:
    """Return a pod's spec: the model first, a plain sidecar after it, a native one apart."""
    port = {"name": "forescale", "containerPort": 9401}
    named = [
        {"name": name, "image": f"{name}:1", "resources": resources}
        for name, resources in zip(("llm", "side"), containers, strict=False)
    ]
    named[-1]["ports"] = [port]
    made = {"containers": named} | spec
    if native is not None:
        made["initContainers"] = [
            {"name": "side", "image": "s:1", "restartPolicy": "Always", "resources": native}
        ]
    return made


# Name, pod, container of the HPA (empty: Resource), whether it can be read.
MATRIX = [
    ("alone", shape(ONE), "", True),
    ("plain", shape(ONE, NONE), "", False),
    ("plain-zero", shape(ONE, ZERO), "", True),
    ("native", shape(ONE, native=NONE), "", False),
    ("native-zero", shape(ONE, native=ZERO), "", True),
    ("pod-level", shape(ONE, NONE, **POD_LEVEL), "", True),
    ("container", shape(ONE, NONE), "llm", True),
    ("four", shape({"limits": {GPU: "4"}}, ZERO), "", True),
]


@dataclass
class Behind:
    """What stands behind the adapter."""

    nodes: NodeMetrics
    server: MetricsServer
    begin: int  # of the audit log, before the adapter was there


@pytest.fixture
async def behind(scene: Scene, tmp_path: Path) -> AsyncIterator[Behind]:
    """The adapter installed with its component, metrics-server behind it; nothing taken over."""
    async with AsyncExitStack() as stack:
        nodes = NodeMetrics(tmp_path, scene.controlplane, scene.kubelet)
        nodes.namespace = scene.namespace
        await stack.enter_async_context(nodes)
        server = MetricsServer(tmp_path, scene.controlplane)
        await server.expose(scene.api)
        stack.push_async_callback(server.hide, scene.api)
        scene.adapters.manifests = ROOT / "manifests" / "overlays" / "resource-metrics"
        scene.adapters.arguments = [
            f"--resource-metrics-url=https://{metricsserver.ADDRESS}:{metricsserver.PORT}",
            f"--resource-metrics-name={metricsserver.NAME}",
            "--resource-metrics-secret=kube-system/forescale-metrics-server",
        ]
        begin = scene.controlplane.audit_log.stat().st_size
        await scene.adapters.install()
        await server.start(scene.api)
        stack.push_async_callback(server.stop)
        await apply(scene, "give-back")
        stack.push_async_callback(gone, scene)
        await registered(scene)
        yield Behind(nodes, server, begin)


async def gone(scene: Scene) -> None:
    await scene.api.delete(f"{APISERVICES}/{NAME}")


async def apply(scene: Scene, manifest: str) -> None:
    await scene.controlplane.kubectl("apply", "-f", str(COMPONENT / f"{manifest}.yaml"))


async def registered(scene: Scene) -> Json:
    return await scene.api.until(
        f"{APISERVICES}/{NAME}",
        lambda found: condition(found, "Available").get("status") == "True",
        timeout_seconds=60,
    )


async def taken_over(scene: Scene) -> None:
    await apply(scene, "take-over")
    found = await scene.api.until(
        f"{APISERVICES}/{NAME}",
        lambda found: (
            bool(found["spec"].get("caBundle"))
            and condition(found, "Available").get("status") == "True"
        ),
    )
    assert found["spec"]["service"]["name"] == "forescale"
    assert not found["spec"].get("insecureSkipTLSVerify")


async def pod_metrics(scene: Scene) -> dict[str, Json]:
    items = (await scene.api.get(_pods(scene)))["items"]
    return {item["metadata"]["name"]: item for item in items}


def _pods(scene: Scene) -> str:
    return f"/apis/metrics.k8s.io/v1beta1/namespaces/{scene.namespace}/pods"


async def until(holds: Callable[[], Awaitable[Any]], timeout_seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + timeout_seconds
    while not (found := await holds()):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.3)
    return found


async def test_the_tutorials_hpa_and_every_shape_of_pod_are_read_and_nothing_else_changes(
    scene: Scene, behind: Behind
) -> None:
    behind.nodes.cores = lambda _, container: 1.0 if container == "llm-server" else 0.001
    scene.example = ROOT / "manifests" / "examples" / "llm-inference-resource"
    scene.llm.busy_percent = 60
    await scene.deploy()
    await every_shape(scene)
    (example,) = scene.llm.pods
    before = (await until(lambda: known(scene, example)))[example]
    assert await top(scene, example)
    async with asking(scene.api, _pods(scene)) as asked:
        await taken_over(scene)
        await scene.until_hpa_reads(GPU, 60)
        await scene.until_hpa_reads('"cpu"', 60)
        await scene.until_hpa_reads(PENDING)
        await until(lambda: enough(asked))
    assert asked.failures == []
    await the_tutorials_hpa_reads_all_three(scene)
    await until(lambda: all_have_gpus(scene))
    await nothing_else_changed(scene, example, before)
    await each_shape_is_read_or_refused(scene)
    await discovery_is_current(scene, {"metrics.k8s.io": ["v1beta1"]})
    controllers_read_discovery_alone(scene, behind.begin)
    await each_right_of_an_overlay_is_needed(scene, "resource-metrics", behind.begin)
    await why_tells_it_as_the_controller_reads_it(scene, example)
    assert await scene.replicas() == 1
    scene.llm.busy_percent = 100
    await scene.until_replicas(lambda count: count == 2, 90)

    await behind.server.stop()
    down = await until(lambda: refused(scene))
    assert down.code == 503
    assert "metrics-server at https" in str(down)
    await reverted(scene)


async def known(scene: Scene, name: str) -> dict[str, Json]:
    found = await pod_metrics(scene)
    return found if name in found else {}


async def enough(asked: Asked) -> bool:
    return asked.count > 20


async def the_tutorials_hpa_reads_all_three(scene: Scene) -> None:
    """Its mean is whole once the zeros of the time before the pod's work have left the window."""
    await until(lambda: utilizations_are(scene, {GPU: range(60, 61), "cpu": CPU_PERCENT}))
    hpa = await scene.hpa()
    assert condition(hpa, "ScalingActive")["reason"] == "ValidMetricFound", json.dumps(hpa)


async def utilizations_are(scene: Scene, wanted: dict[str, range]) -> bool:
    shown = {
        metric["resource"]["name"]: metric["resource"]["current"]["averageUtilization"]
        for metric in (await scene.hpa())["status"]["currentMetrics"]
        if metric["type"] == "Resource"
    }
    return shown.keys() == wanted.keys() and all(shown[name] in wanted[name] for name in wanted)


async def every_shape(scene: Scene) -> None:
    """Make the pods of `MATRIX`, each with an autoscaler, and let them run and be ready."""
    for name, spec, container, _ in MATRIX:
        await workload(scene, name, spec)
        await scene.api.post(HPAS.format(scene.namespace), autoscaler(name, container))
    await scene.kubelet.wait_running(scene.namespace, 1 + len(MATRIX), timeout_seconds=60)
    for pod in scene.kubelet.running(scene.namespace):
        if ANNOTATION in pod["metadata"].get("annotations", {}):
            name = pod["metadata"]["name"]
            await scene.kubelet.set_ready(scene.namespace, name, is_ready=True)


async def each_shape_is_read_or_refused(scene: Scene) -> None:
    for name, _, _, works in MATRIX:
        words = "ValidMetricFound" if works else MISSING
        hpa = await scene.api.until(
            f"{HPAS.format(scene.namespace)}/{name}",
            lambda found, words=words: words in json.dumps(condition(found, "ScalingActive")),
            timeout_seconds=60,
        )
        assert not works or utilization(hpa) == 79, name


async def why_tells_it_as_the_controller_reads_it(scene: Scene, example: str) -> None:
    told = await why(scene, HPA)
    assert f"  {example}  1        600m   60 %" in told
    assert f"  = {GPU}: 60 % of the request / 80 % = 0.75 x 1 pod -> 1" in told
    (cpu,) = [line for line in told if line.startswith("  = cpu: ")]
    assert int(cpu.split()[2]) in CPU_PERCENT, cpu
    assert told[-1].startswith(f"the HPA asks for 1, because {GPU} asks for 1, the most of 3")
    refused = await why(scene, "plain")
    assert MISSING in refused[-3], refused
    assert refused[-1] == "the HPA stays at 1, because no metric has a value"
    four = await why(scene, "four")
    assert f"  = {GPU}: 79 % of the request / 79 % = 1.00, within 0.9 to 1.1 -> stays at 1" in four


async def why(scene: Scene, hpa: str) -> list[str]:
    return (await scene.forescale("why", f"hpa/{hpa}", "-n", scene.namespace)).splitlines()


async def nothing_else_changed(scene: Scene, name: str, before: Json) -> None:
    item = (await pod_metrics(scene))[name]
    assert {c["name"] for c in item["containers"]} == {"llm-server", "forescale"}
    gpus = {c["name"]: c["usage"].pop(GPU) for c in item["containers"]}
    assert gpus == {"llm-server": "600m", "forescale": "0"}
    assert item.keys() == before.keys()
    assert item["window"].endswith("s")
    assert await top(scene, name)
    assert "gpu-node-0" in await scene.controlplane.kubectl("top", "node")
    node = await scene.api.get("/apis/metrics.k8s.io/v1beta1/nodes/gpu-node-0")
    assert node["usage"].keys() == {"cpu", "memory"}
    one = await scene.api.get(f"{_pods(scene)}/{name}")
    assert {c["name"] for c in one["containers"]} == set(gpus)


async def top(scene: Scene, pod: str) -> bool:
    shown = await scene.controlplane.kubectl("top", "pod", "-n", scene.namespace, "--no-headers")
    (line,) = [line for line in shown.splitlines() if line.startswith(pod)]
    _, cores, memory = line.split()
    return 980 <= int(cores.removesuffix("m")) <= 1020 and memory == "2048Mi"


async def refused(scene: Scene) -> ApiError | None:
    try:
        await pod_metrics(scene)
    except ApiError as error:
        return error
    return None


async def reverted(scene: Scene) -> None:
    """An add-on manager applies metrics-server's own manifest again: an Event, and no fight."""
    await apply(scene, "give-back")
    events = f"/api/v1/namespaces/{NAMESPACE}/events"
    await scene.api.until(
        events, lambda found: any(e["reason"] == "APIServiceReverted" for e in found["items"])
    )
    await asyncio.sleep(3)
    spec = (await scene.api.get(f"{APISERVICES}/{NAME}"))["spec"]
    assert spec["service"]["name"] == "metrics-server"
    assert spec["insecureSkipTLSVerify"] is True


async def all_have_gpus(scene: Scene) -> bool:
    found = await pod_metrics(scene)
    keyed = [GPU in c["usage"] for item in found.values() for c in item["containers"]]
    return len(found) == 1 + len(MATRIX) and all(keyed)


async def workload(scene: Scene, name: str, spec: Json) -> None:
    labels = {"app": name, "forescale.dev/source": "sidecar"}
    template = {
        "metadata": {"labels": labels, "annotations": {ANNOTATION: "busy-gpu"}},
        "spec": spec,
    }
    body = {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }
    await scene.api.post(f"/apis/apps/v1/namespaces/{scene.namespace}/deployments", body)


def autoscaler(name: str, container: str) -> Json:
    target = {"type": "Utilization", "averageUtilization": 79}
    metric: Json = {"type": "Resource", "resource": {"name": GPU, "target": target}}
    if container:
        inner = {"name": GPU, "container": container, "target": target}
        metric = {"type": "ContainerResource", "containerResource": inner}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": reference, "maxReplicas": 3, "metrics": [metric]}
    return {"metadata": {"name": name}, "spec": spec}


def utilization(hpa: Json) -> int:
    (metric,) = hpa["status"]["currentMetrics"]
    (inner,) = [value for key, value in metric.items() if key != "type"]
    return int(inner["current"]["averageUtilization"])
