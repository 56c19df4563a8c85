"""Injection and warnings at apply time, decided by the real kube-apiserver on dry runs."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from tests.controlplane.api import Api
from tests.controlplane.cluster import ControlPlane
from tests.e2e.llmpods import ROOT

Json = dict[str, Any]
COMPONENTS = ROOT / "manifests" / "components"
EXAMPLES = ROOT / "manifests" / "examples"
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers?dryRun=All"
QUEUE = "llm_inference_pending_requests"
# In the order of the policy's validations: how each warning is known again.
PENDING, TOTAL, ABOVE, BELOW, RESOURCE, CONTAINER, LULL, SHORTER, NO_TIME = (
    "is the only metric",
    "type Value",
    "above 100",
    "below 10 (",
    ": Resource nvidia.com/gpu has",
    "ContainerResource nvidia.com/gpu has",
    "every short lull",
    "to come back",
    "is no time",
)
ALL = (PENDING, TOTAL, ABOVE, BELOW, RESOURCE, CONTAINER, LULL, SHORTER, NO_TIME)
COLD_START = "forescale.dev/cold-start"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture
async def _policies(controlplane: ControlPlane) -> AsyncIterator[None]:
    files = [str(COMPONENTS / name / "policy.yaml") for name in ("inject", "hpa-warnings")]
    for file in files:
        await controlplane.kubectl("apply", "-f", file)
    yield
    for file in files:
        await controlplane.kubectl("delete", "-f", file)


@pytest.mark.usefixtures("_policies")
async def test_a_pod_that_asks_for_it_is_given_the_sidecar_of_the_component(
    api: Api, namespace: str
) -> None:
    await _injecting(api, namespace)
    hosts = _pod()
    hosts["spec"]["hostNetwork"] = True  # which the standard `restricted` refuses
    assert _parts(await _made(api, namespace, hosts)) == ["download", "llm"]
    enforce = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await api.patch(f"/api/v1/namespaces/{namespace}", enforce)

    plain = await _made(api, namespace, _pod())
    assert plain["metadata"]["labels"]["forescale.dev/source"] == "sidecar"
    assert plain["spec"]["enableServiceLinks"] is True  # the user's containers may live by them
    assert plain["status"]["qosClass"] == "Burstable"
    assert _parts(plain) == ["forescale", "download", "llm"]
    sidecar = plain["spec"]["initContainers"][0]
    assert _covers(sidecar, _component())
    assert sidecar["resources"]["limits"]["nvidia.com/gpu"] == "0"
    for key in (
        "traffic.sidecar.istio.io/excludeInboundPorts",
        "config.linkerd.io/skip-inbound-ports",
    ):
        assert plain["metadata"]["annotations"][key] == "9401"

    claiming = await _made(api, namespace, _claiming())
    given = claiming["spec"]["initContainers"][0]["resources"]
    assert given["claims"] == [{"name": "gpu"}]
    assert "nvidia.com/gpu" not in given["limits"]
    meshed = claiming["metadata"]["annotations"]
    assert meshed["traffic.sidecar.istio.io/excludeInboundPorts"] == "15020,9401"
    assert meshed["config.linkerd.io/skip-inbound-ports"] == "4191, 9401"

    assert (await _made(api, namespace, _guaranteed()))["status"]["qosClass"] == "Guaranteed"

    again = _pod()
    again["spec"] = copy.deepcopy(plain["spec"])
    assert _parts(await _made(api, namespace, again)) == ["forescale", "download", "llm"]
    wrapped = _pod()
    wrapped["spec"]["containers"][0]["ports"] = [{"name": "forescale", "containerPort": 9401}]
    taken = _pod()
    taken["spec"]["initContainers"][0]["ports"] = [{"name": "other", "containerPort": 9401}]
    windows = _pod()
    windows["spec"]["os"] = {"name": "windows"}
    for part in (*windows["spec"]["initContainers"], *windows["spec"]["containers"]):
        part["securityContext"] = {"runAsNonRoot": True}
    no = {"forescale.dev/inject": "false"}
    for left in (wrapped, taken, windows, _pod({}), _pod(no)):
        made = await _made(api, namespace, left)
        assert _parts(made) == ["download", "llm"]
        assert "forescale.dev/source" not in made["metadata"].get("labels", {})

    await api.patch(
        f"/api/v1/namespaces/{namespace}",
        {"metadata": {"labels": {"forescale.dev/inject": "false"}}},
    )
    await _injecting(api, namespace, wanted=False)


@pytest.mark.usefixtures("_policies")
async def test_an_hpa_is_warned_about_what_it_gets_wrong_and_about_nothing_else(
    controlplane: ControlPlane, api: Api
) -> None:
    queue = _metric("pods", QUEUE, averageValue="5")
    gpu = _metric("pods", "nvidia_gpu_utilization", averageValue="80")
    total = "llm_inference_inflight_requests"
    await _warning(api, [queue])
    assert await _warnings(api, [queue, gpu]) == []
    assert await _warnings(api, [queue]) == [PENDING]
    assert await _warnings(api, [_metric("object", total, value="5")]) == [TOTAL]
    assert await _warnings(api, [_metric("external", total, value="5")]) == [TOTAL]
    assert await _warnings(api, [_metric("object", total, "mean", value="5")]) == []
    assert await _warnings(api, [_metric("object", total, averageValue="5")]) == []
    assert await _warnings(api, [_metric("object", "theirs", value="5")]) == []
    desired = "forescale_desired_replicas"
    assert await _warnings(api, [_metric("object", desired, value="1")]) == [TOTAL]
    assert await _warnings(api, [_metric("external", desired, averageValue="1")]) == []
    for kind in ("object", "external"):
        for operator, value, expected in (
            ("In", "mean", []),
            ("In", "max", []),
            ("In", "sum", [TOTAL]),
            ("NotIn", "mean", [TOTAL]),
        ):
            chosen = _metric(kind, total, value="5")
            agg = {"key": "agg", "operator": operator, "values": [value]}
            chosen[kind]["metric"]["selector"] = {"matchExpressions": [agg]}
            assert await _warnings(api, [chosen]) == expected, agg
    theirs = _metric("object", "llm_inference_of_another_adapter", value="5")
    assert await _warnings(api, [theirs]) == []
    slow = _metric("object", "llm_inference_queue_time_seconds", value="2")
    assert await _warnings(api, [slow]) == []
    cache, tensor = "llm_inference_kv_cache_utilization", "nvidia_gpu_tensor_activity"
    for name, target, expected in (
        *((cache, "100", []), (cache, "101", [ABOVE]), (cache, "10", []), (cache, "9", [BELOW])),
        *((tensor, "101", [ABOVE]), (tensor, "1", []), (tensor, "999m", [BELOW])),
        *(("nvidia_gpu_dram_activity", "1", []), ("nvidia_gpu_dram_activity", "0.9", [BELOW])),
    ):
        found = await _warnings(api, [_metric("pods", name, averageValue=target)])
        assert found == expected, (name, target)
    hasty: Json = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    for ours in (gpu, slow, _metric("object", desired, averageValue="1")):
        assert await _warnings(api, [ours], hasty) == [LULL], ours
    assert await _warnings(api, [theirs], hasty) == []
    never = {"scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"}}
    assert await _warnings(api, [gpu], never) == []
    for seconds, start, expected in (
        (119, None, [LULL]),
        (120, None, []),
        (None, None, []),
        (60, "45s", []),
        (60, "1m1s", [SHORTER]),
        (None, "300s", []),
        (None, "10m", [SHORTER]),
        (3600, "2h", []),
        (60, "ten minutes", [LULL, NO_TIME]),
        (300, "0s", [NO_TIME]),
    ):
        waits: Json = {} if seconds is None else {"stabilizationWindowSeconds": seconds}
        found = await _warnings(api, [gpu], {"scaleDown": waits}, start)
        assert found == expected, (seconds, start)
    assert await _warnings(api, [theirs], hasty, "60s") == [SHORTER]  # whoever says it is told
    assert await _warnings(api, [gpu], never, "60s") == []

    # As in many tutorials: GPU by resource, CPU beside it, and the queue.
    resource = {"type": "Resource", "resource": {"name": "nvidia.com/gpu", "target": _percent(80)}}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": _percent(70)}}
    assert await _warnings(api, [resource, cpu, queue]) == [RESOURCE]
    assert await _warnings(api, [resource], hasty) == [RESOURCE, LULL]
    assert await _warnings(api, [cpu], hasty) == []
    part = {"name": "nvidia.com/gpu", "container": "llm", "target": _percent(80)}
    of_container = {"type": "ContainerResource", "containerResource": part}
    assert await _warnings(api, [of_container], hasty) == [CONTAINER, LULL]
    assert (
        await _warnings(api, [of_container | {"containerResource": part | {"name": "cpu"}}]) == []
    )
    known: dict[str, list[str]] = {"llm-inference": [PENDING], "llm-inference-resource": [RESOURCE]}
    for folder in sorted(one.parent for one in EXAMPLES.glob("*/kustomization.yaml")):
        built = yaml.safe_load_all(await controlplane.kubectl("kustomize", str(folder)))
        (hpa,) = [one for one in built if one["kind"] == "HorizontalPodAutoscaler"]
        heard = await _warnings(api, hpa["spec"]["metrics"], hpa["spec"].get("behavior"))
        assert heard == known.get(folder.name, []), folder.name


@pytest.mark.usefixtures("_policies")
async def test_a_workload_is_warned_where_our_sidecar_would_break_an_hpa_on_resource_gpus(
    api: Api, namespace: str
) -> None:
    zero = {"limits": {"nvidia.com/gpu": "0"}}
    plain, native = _workload(), _workload({})
    for _ in range(100):
        if await _said(api, plain):
            break
        await asyncio.sleep(0.1)
    for kind in ("deployments", "statefulsets"):
        for silent in (plain, native):
            heard = await _said(api, silent, kind)
            assert heard.count("ValidatingAdmissionPolicy") == 1
            assert "beside one that does: forescale. An HPA on Resource nvidia.com/gpu" in heard
    logs = {"name": "logs", "image": "logs:1"}
    several = plain | {"containers": [*plain["containers"], logs]}
    assert "that does: forescale, logs. " in await _said(api, several)
    named = {"name": "forescale", "containerPort": 9401}
    renamed = {"containers": [plain["containers"][0], logs | {"ports": [named]}]}
    assert "that does: logs. " in await _said(api, renamed)

    whole_pod = {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}}
    cpu = {"containers": [{"name": "api", "image": "api:1"}, plain["containers"][1]]}
    without_ours = {"containers": [plain["containers"][0], logs]}
    for right in (_workload(zero), plain | whole_pod, cpu, without_ours):
        assert await _said(api, right) == "", right

    made = await api.post(
        f"/apis/apps/v1/namespaces/{namespace}/deployments", _templated(plain, replicas=0)
    )
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{made['metadata']['name']}?dryRun=All"
    annotated = {"metadata": {"annotations": {"forescale.dev/target": "inflight=16"}}}
    as_merged = {"Content-Type": "application/merge-patch+json"}
    for spec, count in (({"replicas": 1}, 0), ({"template": annotated}, 1)):
        async with api.session.patch(path, json={"spec": spec}, headers=as_merged) as response:
            assert response.status == 200, await response.text()
            assert len(response.headers.getall("Warning", [])) == count, spec


async def _said(api: Api, pod: Json, kind: str = "deployments") -> str:
    """Return what the API server warns of when a workload has this pod."""
    path = f"/apis/apps/v1/namespaces/default/{kind}?dryRun=All"
    async with api.session.post(path, json=_templated(pod)) as response:
        assert response.status == 201, await response.text()
        return " ".join(response.headers.getall("Warning", []))


def _templated(pod: Json, **spec: Any) -> Json:
    labels = {"app": "checked"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec |= {"selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"generateName": "checked-"}, "spec": spec}


def _workload(native: Json | None = None) -> Json:
    """Return the pod of a model and a sidecar, a plain one without `native`, its resources."""
    model = {"name": "llm", "image": "llm:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    sidecar: Json = {"name": "forescale", "image": "forescale:1"}
    if native is None:
        return {"containers": [model, sidecar]}
    once = {"name": "download", "image": "llm:1"}
    started = sidecar | {"restartPolicy": "Always", "resources": native}
    return {"initContainers": [once, started], "containers": [model]}


def _pod(labels: Json | None = None) -> Json:
    asked = {"forescale.dev/inject": "true"} if labels is None else labels
    model = {
        "name": "llm",
        "image": "llm:1",
        "securityContext": RESTRICTED,
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    download = {"name": "download", "image": "llm:1", "securityContext": RESTRICTED}
    metadata = {"generateName": "checked-", "labels": asked}
    return {"metadata": metadata, "spec": {"initContainers": [download], "containers": [model]}}


def _guaranteed() -> Json:
    pod = _pod()
    for part in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        part["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}}
    return pod


def _claiming() -> Json:
    pod = _pod()
    del pod["spec"]["initContainers"]
    pod["spec"]["containers"][0]["resources"] = {"claims": [{"name": "gpu"}]}
    pod["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    pod["metadata"]["annotations"] = {
        "traffic.sidecar.istio.io/excludeInboundPorts": "15020",
        "config.linkerd.io/skip-inbound-ports": "4191, 9401",
    }
    return pod


def _component() -> Json:
    text = (COMPONENTS / "sidecar" / "sidecar.yaml").read_text()
    found: Json = yaml.safe_load(text)["spec"]["template"]["spec"]["initContainers"][0]
    return found


def _covers(made: Any, wanted: Any) -> bool:
    """Whether all of `wanted` is in `made`, which has the API server's defaults beside it."""
    if isinstance(wanted, dict):
        return all(key in made and _covers(made[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(made) == len(wanted) and all(map(_covers, made, wanted))
    return bool(made == wanted)


def _parts(pod: Json) -> list[str]:
    spec = pod["spec"]
    return [one["name"] for one in spec.get("initContainers", []) + spec["containers"]]


async def _made(api: Api, namespace: str, pod: Json) -> Json:
    return await api.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)


async def _injecting(api: Api, namespace: str, *, wanted: bool = True) -> None:
    """Wait until the API server has noticed the policy, or the namespace's label."""
    for _ in range(100):
        if ("forescale" in _parts(await _made(api, namespace, _pod()))) == wanted:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"after 10 s still {'not ' if wanted else ''}injected")


async def _warning(api: Api, metrics: list[Json]) -> None:
    for _ in range(100):
        if await _warnings(api, metrics):
            return
        await asyncio.sleep(0.1)
    pytest.fail("no warning after 10 s")


def _percent(target: int) -> Json:
    return {"type": "Utilization", "averageUtilization": target}


def _metric(kind: str, name: str, agg: str = "", **target: str) -> Json:
    asked: Json = {"name": name}
    if agg:
        asked["selector"] = {"matchLabels": {"agg": agg}}
    type_ = "Value" if "value" in target else "AverageValue"
    source: Json = {"metric": asked, "target": {"type": type_} | target}
    if kind == "object":
        source["describedObject"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"}
    return {"type": kind.capitalize(), kind: source}


async def _warnings(
    api: Api, metrics: list[Json], behavior: Json | None = None, cold_start: str | None = None
) -> list[str]:
    """Return which of our warnings the API server gives, in the policy's order."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"}
    spec = {"scaleTargetRef": target, "maxReplicas": 4, "metrics": metrics}
    if behavior:
        spec["behavior"] = behavior
    hpa: Json = {"metadata": {"generateName": "checked-"}, "spec": spec}
    if cold_start is not None:
        hpa["metadata"]["annotations"] = {COLD_START: cold_start}
    async with api.session.post(HPAS, json=hpa) as response:
        assert response.status == 201, await response.text()
        heard = " ".join(response.headers.getall("Warning", []))
    known = [one for one in ALL if one in heard]
    assert heard.count("ValidatingAdmissionPolicy") == len(known), heard
    return known
