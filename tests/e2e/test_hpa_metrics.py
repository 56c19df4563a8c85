"""The real HPA controller on types of metrics: what it reads of ours, and what it makes of it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, NamedTuple

from tests.controlplane.workloads import condition, create_deployment
from tests.e2e import impostors, through
from tests.e2e.adapters import APISERVICES, EXTERNAL
from tests.e2e.scene import PENDING, Scene, quantity

Json = dict[str, Any]

PODS = 2  # of each workload, with 7 requests in the queue of each; pods that come later only load
QUEUE = 7.0
SLOW = {"stat": "max", "window": "30s"}


class Case(NamedTuple):
    """One workload with one HPA; `current` and `desired` are where both come to rest."""

    metric: Json
    current: float
    desired: int


def cases() -> dict[str, Case]:
    """Return each case by the name of its workload."""
    front = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"}
    by_view = {"matchLabels": SLOW}
    mean = {"matchLabels": {"workload": "external", "agg": "mean", "stat": "raw"}}
    among = {"matchExpressions": [{"key": "stat", "operator": "In", "values": ["raw"]}]}
    return {
        # 14 in all, 5 for each: 3 pods, of which each has 4.667.
        "front": Case(_metric("object", by_view, 5, describedObject=front), 4.667, 3),
        # 7 in the mean is twice 3.5, and 2 pods are ready: 4.
        "external": Case(_metric("external", mean, 3.5, by="Value"), QUEUE, 4),
        # 7 of each pod that speaks; with the 5 that load, which count as nought, 2 of each.
        "pods": Case(_metric("pods", among, 2), QUEUE, 7),
    }


def _metric(kind: str, selector: Json, target: float, by: str = "AverageValue", **of: Json) -> Json:
    aim = {"type": by, by[0].lower() + by[1:]: str(target)}
    about = {"metric": {"name": PENDING, "selector": selector}, "target": aim}
    return {"type": kind.capitalize(), kind: about | of}


async def test_ingresses_external_values_and_views_of_pods_scale_as_the_arithmetic_says(
    scene: Scene,
) -> None:
    """And whoever asks through kube-apiserver gets our answers, our errors and our words."""
    scene.adapters.arguments = ["--external-enabled", "true"]
    await asyncio.gather(scene.adapters.install(), *(_deploy(scene, name) for name in cases()))
    await _open(scene, "front")
    pods = await scene.kubelet.wait_running(scene.namespace, PODS * len(cases()))
    names = {pod["metadata"]["name"] for pod in pods}
    for name in names:
        await scene.kubelet.set_ready(scene.namespace, name, is_ready=True)
    await scene.until_served(PENDING, names)
    await scene.api.until(
        f"{APISERVICES}/{EXTERNAL}",
        lambda found: condition(found, "Available").get("status") == "True",
    )
    for name, case in cases().items():
        await _autoscale(scene, name, case.metric)
    await through.is_answered_as_it_is_without(scene)
    for name, case in cases().items():
        await _rests(scene, name, case)


async def _deploy(scene: Scene, name: str) -> None:
    await create_deployment(scene.api, scene.namespace, impostors.workload(name, replicas=PODS))


async def _open(scene: Scene, name: str) -> None:
    """Put a Service and an Ingress before the workload."""
    service = {"selector": {"app": name}, "ports": [{"port": 80}]}
    backend = {"service": {"name": name, "port": {"number": 80}}}
    for path, spec in (
        (f"/api/v1/namespaces/{scene.namespace}/services", service),
        (
            f"/apis/networking.k8s.io/v1/namespaces/{scene.namespace}/ingresses",
            {"defaultBackend": backend},
        ),
    ):
        await scene.api.post(path, {"metadata": {"name": name}, "spec": spec})


async def _autoscale(scene: Scene, name: str, metric: Json) -> None:
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "maxReplicas": 20,
        "metrics": [metric],
    }
    path = f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers"
    await scene.api.post(path, {"metadata": {"name": name}, "spec": spec})


async def _rests(scene: Scene, name: str, case: Case) -> None:
    """Wait until the HPA has read and done what it should."""
    deadline = time.monotonic() + 20
    while True:
        status = (await scene.hpa(name)).get("status", {})
        seen = [_current(one) for one in status.get("currentMetrics") or ()]
        if seen == [case.current] and status["currentReplicas"] == case.desired:
            break
        assert time.monotonic() < deadline, (name, json.dumps(status, indent=1))
        await asyncio.sleep(0.3)
    assert status["desiredReplicas"] == case.desired
    assert condition({"status": status}, "ScalingActive")["reason"] == "ValidMetricFound"


def _current(one: Json) -> float:
    current = one[one["type"].lower()]["current"]
    return quantity(current.get("averageValue") or current["value"])
