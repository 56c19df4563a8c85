"""A healthy cluster as the doctor sees it; each test breaks one fact of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from adapter.api import tls
from adapter.doctor.checks import CHECKS
from adapter.doctor.facts import GPU, QUEUE, Facts, Scaled, Seen
from adapter.doctor.finding import Finding, Level
from adapter.doctor.rights import wanted
from adapter.doctor.sources import labelled
from adapter.intake.apiservice import CUSTOM, spec
from adapter.model.fleet import Standing
from adapter.model.startstory import Shape, StartStory
from adapter.model.why import Figure, PodStory, Story
from adapter.ops.top import Load, Loads
from adapter.settings import Api

Json = dict[str, Any]

NOW = 1_800_000_000.0
API = Api()
CA = tls.new_authority("forescale", 365.0, NOW).pem
REPLICAS = ("adapter-a", "adapter-b")
ACCOUNT = f"system:serviceaccount:{API.namespace}:forescale-adapter"
PODS = ("llm-7f9-a", "llm-7f9-b")


def bundle(pem: bytes = CA) -> str:
    return base64.b64encode(pem).decode()


def conditions(**states: str) -> Json:
    """Return a status whose conditions have these states, the reason behind a comma."""
    parts = {kind: state.partition(",") for kind, state in states.items()}
    found = [
        {"type": kind, "status": state, "reason": reason, "message": f"so says {kind}"}
        for kind, (state, _, reason) in parts.items()
    ]
    return {"conditions": found}


def service(name: str, **changes: Any) -> Json:
    return {
        "metadata": {"name": name},
        "spec": spec(name, API, bundle()) | changes,
        "status": conditions(Available="True,Passed"),
    }


def replica(
    name: str, *, ready: bool = True, image: str = "forescale-adapter:1", age: float = 200.0
) -> Json:
    """Return a pod of the adapter, made so many seconds ago."""
    made = datetime.fromtimestamp(NOW - age, UTC).isoformat()
    container = {"name": "adapter", "image": image}
    return {
        "metadata": {"name": name, "namespace": API.namespace, "creationTimestamp": made},
        "spec": {"serviceAccountName": "forescale-adapter", "containers": [container]},
        "status": conditions(Ready=str(ready)),
    }


def node(name: str, *, gpus: str = "2", usable: str = "2", **labels: str) -> Json:
    status = {"capacity": {"nvidia.com/gpu": gpus}, "allocatable": {"nvidia.com/gpu": usable}}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": status if gpus else {},
    }


def container(name: str, *, gpus: str | None = "1", **fields: Any) -> Json:
    limits = {} if gpus is None else {"nvidia.com/gpu": gpus}
    return {"name": name, "resources": {"limits": limits}} | fields


def pod(name: str = PODS[0], **changes: Any) -> Json:
    """Return a pod that serves, with a sidecar, of the Deployment llm."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "llm-7f9", "controller": True}
    labels = {"app": "llm", "pod-template-hash": "7f9", "forescale.dev/source": "sidecar"}
    ports = [{"name": "forescale", "containerPort": 9401}]
    sidecar = container("forescale", gpus="0", restartPolicy="Always", ports=ports)
    started = {"state": {"running": {"startedAt": "2026-11-01T00:00:00Z"}}}
    return {
        "metadata": {
            "name": name, "namespace": "default", "uid": f"uid-{name}", "labels": labels,
            "ownerReferences": [owner], "annotations": changes.pop("annotations", {}),
        },
        "spec": {
            "initContainers": [sidecar],
            "containers": [container("llm", readinessProbe={"httpGet": {}})],
        } | changes,
        "status": {
            "phase": "Running", "podIP": "10.0.0.1",
            "containerStatuses": [{"name": "llm", "ready": True, **started}],
        },
    }  # fmt: skip


def told(name: str, *, why: str | None = None, heard: float | None = 1.0) -> PodStory:
    """Return what the adapter says of a metric of a serving pod: a value, or why there is none."""
    figure = Figure(3.0, 1.0, "fresh", "3", None)
    if why is not None:
        figure = Figure(None, None, None, None, why)
    return PodStory(name, Standing.SERVING, heard, figure)


def story(metric: str, *pods: PodStory, at: float = NOW) -> Seen:
    return Seen(Story(metric, "", "", at, pods, None), at=NOW)


def pods_metric(name: str = QUEUE, average: str = "5", **labels: str) -> Json:
    metric = {"name": name, "selector": {"matchLabels": labels}}
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Pods", "pods": {"metric": metric, "target": target}}


def object_metric(
    name: str, kind: str, of: str, *, target: str = "AverageValue", **labels: str
) -> Json:
    return {
        "type": "Object",
        "object": {
            "metric": {"name": name, "selector": {"matchLabels": labels}},
            "describedObject": {"apiVersion": "apps/v1", "kind": kind, "name": of},
            "target": {"type": target, target[0].lower() + target[1:]: "8"},
        },
    }


GPU_RESOURCE: Json = {
    "type": "Resource",
    "resource": {
        "name": "nvidia.com/gpu",
        "target": {"type": "Utilization", "averageUtilization": 80},
    },
}


def hpa(*metrics: Json, name: str = "llm", **changes: Any) -> Json:
    """Return an HPA of the Deployment llm."""
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"},
            "minReplicas": 1, "maxReplicas": 9,
            "metrics": list(metrics or (pods_metric(), pods_metric(GPU, "80"))),
        } | changes,
        "status": conditions(AbleToScale="True", ScalingActive="True,ValidMetricFound"),
    }  # fmt: skip


def values(*names: str) -> Seen:
    return Seen({"items": [{"describedObject": {"name": name}, "value": "3"} for name in names]})


def loads(releases: Mapping[str, int], own: str = "1.2.0") -> Seen:
    """Return what an adapter of a release says of llm's sidecars."""
    figures = (2, 2, 0, 0, 0, 1.0, 50.0, "llm_inference_inflight_requests", 4.0, None, None)
    load = Load("default", "Deployment", "llm", *figures, releases=releases)
    return Seen(Loads(NOW, (load,), release=own))


def start(seconds: float | None) -> StartStory:
    """Return what the adapter has learnt of llm: the median of the starts that it saw."""
    seen = () if seconds is None else (seconds,)
    warm = Shape(seconds, 300.0, "learnt", seen, 0, None, None, None)
    return StartStory("default", "Deployment", "llm", "300 s", warm, None, (), ())


def scaled(*answers: Seen | None, pods: Seen | None = None, replicas: int = 2) -> Scaled:
    scale = Seen({"status": {"replicas": replicas, "selector": "app=llm"}})
    return Scaled(scale, pods or Seen([pod(name) for name in PODS]), answers)


def facts(**changes: Any) -> Facts:
    """Return the facts of a healthy cluster, but for the changes."""
    listed = {"resources": [{"name": "pods/x"}]}
    healthy = Facts(
        api=API,
        namespace="",
        version=Seen({"gitVersion": "v1.37.2"}),
        clock=Seen(NOW, at=NOW),
        gate=Seen(body=True),
        apiservices=Seen([service(name) for name in CUSTOM.names()], at=NOW),
        discovery={version: Seen(listed) for version in CUSTOM.versions},
        right=Seen(body=True),
        rights={(ACCOUNT, one): Seen(body=True) for one in wanted(API.namespace)},
        replicas=Seen([replica(name) for name in REPLICAS], at=NOW),
        nodes=Seen([node("gpu-1")]),
        slices=Seen([]),
        node_autoscaler=Seen("Karpenter"),
        pods=Seen([pod(name) for name in PODS]),
        stories={
            ("default", metric): story(metric, *(told(name) for name in PODS))
            for metric in (QUEUE, GPU)
        },
        loads={"default": loads({"1.2.0": 2})},
        hpas=Seen([hpa()]),
        scaled={("default", "llm"): scaled(values(*PODS), values(*PODS))},
    )
    changed = msgspec.structs.replace(healthy, **changes)
    if changed.pods.body is None:
        return changed
    pods = [labelled(one) for one in changed.pods.body]
    return msgspec.structs.replace(changed, pods=Seen(pods, at=changed.pods.at))


def with_hpa(*metrics: Json, answers: tuple[Seen | None, ...] = (), **changes: Any) -> Facts:
    """Return the facts of a cluster with this HPA instead."""
    found = hpa(*metrics, **changes)
    given = answers or tuple(values(*PODS) for _ in found["spec"]["metrics"])
    return facts(hpas=Seen([found]), scaled={("default", "llm"): scaled(*given)})


def found(check: str, given: Facts) -> list[Finding]:
    """Return all that one check finds."""
    return list(CHECKS[check](given))


def the(check: str, given: Facts) -> Finding:
    """Return the one thing that a check finds."""
    (only,) = found(check, given)
    return only


def levels(given: Facts) -> Mapping[str, set[Level]]:
    """Return what each check comes to."""
    return {name: {one.level for one in check(given)} for name, check in CHECKS.items()}


def refused(code: int = 403) -> Seen:
    return Seen(refusal="you may not", code=code)
