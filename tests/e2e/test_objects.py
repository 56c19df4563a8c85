"""Objects and external metrics through the real aggregator, and what the real HPA makes of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.workloads import condition
from tests.e2e.adapters import APISERVICES, EXTERNAL, NAMESPACE
from tests.e2e.kedaside import KedaSide
from tests.e2e.podsets import MEMORY, PodSets, memory_totals
from tests.e2e.scene import DEPLOYMENT, GPU, HPA, Scene, quantity

Json = dict[str, Any]

PODS = 8
BUSY = 90
TARGET = 80
KIND = "InferenceService"
KIND_GROUP = "e2e.forescale.dev"
ARGUMENTS = ["--external-enabled", "true"]
# The first owns the Deployment, the others choose pods; the last is in no namespace.
KINDS = {KIND: "", "ModelPool": ":selector", "ModelFleet": ":selector:cluster"}
_SPELT = [f"{kind.lower()}s.v1.{KIND_GROUP}={kind}{flags}" for kind, flags in KINDS.items()]
ARGUMENTS += ["--api-object-kinds", ",".join(_SPELT)]
NODE = "gpu-node-0"
SERVICE = "llm-inference-service"
RAW = {"stat": "raw"}  # the last reading: a mean would take its window to get there


@pytest.fixture
async def sets(scene: Scene) -> AsyncIterator[PodSets]:
    made = PodSets(scene)
    yield made
    await made.delete()


async def test_objects_and_external_metrics_are_totals_that_the_hpa_divides_by_its_pods(
    scene: Scene, sets: PodSets, tmp_path: Path
) -> None:
    keda = KedaSide(tmp_path / "keda")
    scene.adapters.arguments = ARGUMENTS + keda.arguments
    scene.llm.busy_percent = BUSY
    await _define(scene)
    await sets.define(TARGET)
    await scene.adapters.install()
    await scene.deploy(hpa=False, replicas=PODS)
    await sets.deploy((await scene.api.get(_deployment(scene)))["spec"]["template"])
    await _owned_by_a_custom_object(scene)
    await _chosen_by_custom_objects(scene)
    for place in (
        f"deployments.apps/{DEPLOYMENT}",
        f"inferenceservices.{KIND_GROUP}/chat",
        f"modelpools.{KIND_GROUP}/chat",
        f"modelfleets.{KIND_GROUP}/{scene.namespace}",
    ):
        await _until_total(scene, place)
    await _ask_for_every_kind(scene)
    await _ask_for_external(scene)
    await _ask_as_keda(scene, keda)
    await sets.until_totals(MEMORY, memory_totals())  # of its workers' GPUs, too
    await sets.until_totals(GPU, (2 * BUSY, 2 * BUSY))  # a leader's: the mean of its group

    scene.llm.cold_start_seconds = 300.0  # the ninth pod loads until the end: the total stays
    await _autoscale(scene)
    assert await scene.until_replicas(lambda count: count != PODS, 60) == PODS + 1
    await scene.until_hpa_reads(GPU.upper())
    assert set(await scene.watch_replicas(6)) == {PODS + 1}
    hpa = await scene.hpa()
    assert condition(hpa, "ScalingActive")["reason"] == "ValidMetricFound", json.dumps(hpa)
    assert _read(hpa) == {
        "Deployment": PODS * BUSY / (PODS + 1),
        "Service": BUSY,  # the mean, for a target of type Value
        "Namespace": PODS * BUSY / (PODS + 1),
        "Node": PODS * BUSY / (PODS + 1),
        GPU.upper(): PODS * BUSY / (PODS + 1),
    }
    await _told_why(scene)
    status = (await sets.until_scaled(3))["status"]
    assert condition({"status": status}, "ScalingActive")["reason"] == "ValidMetricFound", status
    assert _read({"status": status}) == {"LeaderWorkerSet": BUSY}


async def _told_why(scene: Scene) -> None:
    """`forescale why` shows pods and arithmetic of every one of these metrics."""
    text = await scene.forescale("why", f"hpa/{HPA}", "-n", scene.namespace)
    _, lately, *blocks, last = [block.splitlines() for block in text.split("\n\n")]
    assert " ago" in lately[-1], text
    assert len(blocks) == 5, text
    assert last[0].startswith(f"the HPA asks for {PODS + 1}, "), text
    total = f"{PODS * BUSY} in total / {TARGET} per pod x {PODS + 1} = 1.00, within"
    by_value = f"{BUSY} / {BUSY} = 1.00, within"
    for lines, (of, words) in zip(
        blocks,
        (
            (f"of Deployment {DEPLOYMENT}", total),
            (f"of Service {SERVICE}", by_value),
            (f"of Namespace {scene.namespace}", total),
            (f"of Node {NODE}", total),
            (f"External (stat=raw,workload={DEPLOYMENT})", total),
        ),
        strict=True,
    ):
        assert of in lines[0], text
        assert sum(" serving " in line for line in lines) == PODS, text
        assert words in lines[-1], text


async def _ask_for_every_kind(scene: Scene) -> None:
    (replica_set,) = {
        pod["metadata"]["ownerReferences"][0]["name"]
        for pod in scene.kubelet.ready(scene.namespace)
    }
    for place in (
        f"replicasets.apps/{replica_set}",
        f"services/{SERVICE}",
        "ingresses.networking.k8s.io/llm-inference-ingress",
        f"inferenceservices.{KIND_GROUP}/chat",
        "deployments.apps/*",
        "metrics",
        f"nodes/{NODE}",
    ):
        (item,) = (await scene.raw(_path(scene, place)))["items"]
        assert quantity(item["value"]) == PODS * BUSY, place
    root = "/apis/custom.metrics.k8s.io/v1beta2"
    fleet = f"{root}/modelfleets.{KIND_GROUP}/{scene.namespace}/{GPU}"
    (item,) = (await scene.raw(f"{fleet}?metricLabelSelector=stat%3Draw"))["items"]
    assert quantity(item["value"]) == PODS * BUSY
    assert "namespace" not in item["describedObject"]
    everywhere = f"{root}/nodes/{NODE}/{GPU}"
    (item,) = (await scene.raw(f"{everywhere}?metricLabelSelector=stat%3Draw"))["items"]
    assert quantity(item["value"]) >= PODS * BUSY  # other namespaces' pods count, too
    assert item["describedObject"] == {"kind": "Node", "name": NODE, "apiVersion": "v1"}
    (item,) = (await scene.raw(_path(scene, f"services/{SERVICE}", agg="max")))["items"]
    assert quantity(item["value"]) == BUSY
    assert item["describedObject"]["kind"] == "Service"


async def _ask_for_external(scene: Scene) -> None:
    await scene.api.until(
        f"{APISERVICES}/{EXTERNAL}",
        lambda found: condition(found, "Available").get("status") == "True",
    )
    group = "/apis/external.metrics.k8s.io/v1beta1"
    assert GPU in {one["name"] for one in (await scene.raw(group))["resources"]}
    selector = f"workload%3D{DEPLOYMENT}%2Cstat%3Draw"
    found = await scene.raw(
        f"{group}/namespaces/{scene.namespace}/{GPU.upper()}?labelSelector={selector}"
    )
    assert found["kind"] == "ExternalMetricValueList"
    (item,) = found["items"]
    assert (item["metricName"], quantity(item["value"])) == (GPU, PODS * BUSY)
    assert item["metricLabels"] == {"workload": DEPLOYMENT, "stat": "raw"}


async def _ask_as_keda(scene: Scene, keda: KedaSide) -> None:
    """The external scaler tells KEDA's own client what external.metrics.k8s.io tells an HPA."""
    trigger = {"metric": GPU, "target": str(TARGET), "scalerAddress": "x:1", **RAW}
    found = await keda.ask(scene.namespace, workload=DEPLOYMENT, **trigger)
    assert found.pop("StreamMetricSpec")["code"] == "Unimplemented"  # KEDA asks instead
    assert found == {
        "GetMetricSpec": {"metric": GPU, "figure": TARGET, "whole": TARGET},
        "GetMetrics": {"metric": GPU, "figure": PODS * BUSY, "whole": PODS * BUSY},
        "IsActive": {"active": True},
        "StreamIsActive": {"active": True},
    }
    unknown = await keda.ask(scene.namespace, workload="gone", **trigger)
    assert unknown["GetMetricSpec"]["figure"] == TARGET  # KEDA makes its HPA of it all the same
    for method in ("GetMetrics", "IsActive"):
        assert unknown[method]["code"] == "NotFound"
        assert "Deployment `gone`" in unknown[method]["words"]
    assert unknown["StreamIsActive"]["words"] == "silent"
    wrong = await keda.ask(scene.namespace, workload=DEPLOYMENT, windw="30s", **trigger)
    assert wrong["GetMetricSpec"]["code"] == "InvalidArgument"
    assert "`windw` is not known; known are metric, target" in wrong["GetMetricSpec"]["words"]


async def _define(scene: Scene) -> None:
    """Define the kinds that only this cluster knows, and let the adapter see those that choose."""
    kubectl = scene.controlplane.kubectl
    definitions = [_definition(kind, flags) for kind, flags in KINDS.items()]
    await kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, definitions)))
    names = [f"crd/{one['metadata']['name']}" for one in definitions]
    await kubectl("wait", "--for=condition=Established", *names)
    rights = [f"--resource={kind.lower()}s.{KIND_GROUP}" for kind in KINDS]
    role = ("clusterrole", "e2e-kinds", "--verb=list,watch", *rights)
    account = f"--serviceaccount={NAMESPACE}:forescale-adapter"
    for thing in (role, ("clusterrolebinding", "e2e-kinds", "--clusterrole=e2e-kinds", account)):
        made = await kubectl("create", *thing, "--dry-run=client", "-o", "json")
        await kubectl("apply", "-f", "-", stdin=made)


def _definition(kind: str, flags: str) -> Json:
    names = {"plural": f"{kind.lower()}s", "singular": kind.lower(), "kind": kind}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    scope = "Cluster" if "cluster" in flags else "Namespaced"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{KIND_GROUP}"},
        "spec": {"group": KIND_GROUP, "scope": scope, "names": names, "versions": [version]},
    }


async def _chosen_by_custom_objects(scene: Scene) -> None:
    """Make one that chooses the pods within the namespace, and one wherever they are."""
    deployment = await scene.api.get(_deployment(scene))
    selector = deployment["spec"]["selector"]
    (label,) = selector["matchLabels"].items()
    base = {"apiVersion": f"{KIND_GROUP}/v1"}
    pool = base | {"kind": "ModelPool", "metadata": {"name": "chat"}}
    at = f"/apis/{KIND_GROUP}/v1"
    await scene.api.post(
        f"{at}/namespaces/{scene.namespace}/modelpools", pool | {"spec": {"selector": selector}}
    )
    fleet = base | {"kind": "ModelFleet", "metadata": {"name": scene.namespace}}
    text = {"selector": "=".join(label)}  # as the scale subresource has it
    await scene.api.post(f"{at}/modelfleets", fleet | {"status": text})


async def _owned_by_a_custom_object(scene: Scene) -> None:
    """Put the Deployment under an object of a kind that only this cluster knows."""
    base = f"/apis/{KIND_GROUP}/v1/namespaces/{scene.namespace}/inferenceservices"
    body = {"apiVersion": f"{KIND_GROUP}/v1", "kind": KIND, "metadata": {"name": "chat"}}
    made = await scene.api.post(base, body)
    owner = {"apiVersion": f"{KIND_GROUP}/v1", "kind": KIND, "name": "chat", "controller": True}
    owner["uid"] = made["metadata"]["uid"]
    await scene.api.patch(_deployment(scene), {"metadata": {"ownerReferences": [owner]}})


async def _until_total(scene: Scene, place: str, timeout_seconds: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    found: object = None
    while time.monotonic() < deadline:
        try:
            found = (await scene.api.get(_path(scene, place)))["items"]
        except Exception as error:  # noqa: BLE001 - shown below, if it stays
            found = error
        else:
            if [quantity(item["value"]) for item in found] == [PODS * BUSY]:
                return
        await asyncio.sleep(0.5)
    raise TimeoutError(f"{place} after {timeout_seconds:g} s: {found}")


async def _autoscale(scene: Scene) -> None:
    divided = {"type": "AverageValue", "averageValue": str(TARGET)}
    as_it_is = {"type": "Value", "value": str(BUSY)}
    workload = {"workload": DEPLOYMENT, "stat": "raw"}
    external = {"name": GPU.upper(), "selector": {"matchLabels": workload}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT},
        "minReplicas": 1,
        "maxReplicas": 12,
        "metrics": [
            _object("apps/v1", "Deployment", DEPLOYMENT, divided),
            _object("v1", "Service", SERVICE, as_it_is, agg="mean"),
            _object("v1", "Namespace", scene.namespace, divided),
            _object("v1", "Node", NODE, divided),
            {"type": "External", "external": {"metric": external, "target": divided}},
        ],
    }
    path = f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers"
    await scene.api.post(path, {"metadata": {"name": HPA}, "spec": spec})


def _object(version: str, kind: str, name: str, target: Json, **chosen: str) -> Json:
    described = {"apiVersion": version, "kind": kind, "name": name}
    metric = {"name": GPU, "selector": {"matchLabels": RAW | chosen}}
    return {
        "type": "Object",
        "object": {"describedObject": described, "metric": metric, "target": target},
    }


def _read(hpa: Json) -> dict[str, float]:
    """What the HPA says that it read, by the kind of the object or the external name."""
    found = {}
    for one in hpa["status"]["currentMetrics"]:
        if one["type"] == "External":
            name, current = one["external"]["metric"]["name"], one["external"]["current"]
        else:
            name, current = one["object"]["describedObject"]["kind"], one["object"]["current"]
        found[name] = quantity(current.get("averageValue") or current["value"])
    return found


def _deployment(scene: Scene) -> str:
    return f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/{DEPLOYMENT}"


def _path(scene: Scene, place: str, **chosen: str) -> str:
    base = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{scene.namespace}"
    selector = "%2C".join(f"{key}%3D{value}" for key, value in (RAW | chosen).items())
    return f"{base}/{place}/{GPU}?metricLabelSelector={selector}"
