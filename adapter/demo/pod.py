"""The pod: its status as the kubelet would report it, and the JSON that the adapter reads."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec

NAMESPACE = "default"
APP_LABEL = "llm-inference"
SELECTOR = f"app={APP_LABEL}"
NODE = "demo"
# As GPU feature discovery names what the fake NVML calls NVIDIA H100 80GB HBM3.
GPU_PRODUCT = "NVIDIA-H100-80GB-HBM3"
MODEL_PORT = 8000
SIDECAR_PORT = 9401
TEMPLATE_HASH = "6d5f7c9b84"
# What the HPA's five waiting requests a pod come to with four that run: for the status page.
ANNOTATIONS = {"forescale.dev/target": "inflight=9", "forescale.dev/forecast": "observe"}
_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # the letters that Kubernetes draws names from


class Pod(msgspec.Struct, frozen=True):
    """One pod; times are Unix seconds, None for what has not happened."""

    name: str
    uid: str
    gpu_uuid: str
    ip: str
    created_at: float
    deployment: str
    phase: str = "Pending"
    scheduled_at: float | None = None
    started_at: float | None = None  # of the model container
    ready_at: float | None = None
    ending_at: float | None = None

    @property
    def serving(self) -> bool:
        """Whether a Service would send requests to it."""
        return self.ready_at is not None and self.ending_at is None


def new(deployment: str, ip: str, dice: random.Random, now: float) -> Pod:
    """Return a pod that was just created."""
    suffix = "".join(dice.choices(_SAFE, k=5))
    return Pod(
        name=f"{deployment}-{TEMPLATE_HASH}-{suffix}",
        uid=_uuid(dice),
        gpu_uuid=f"GPU-{_uuid(dice)}",
        ip=ip,
        created_at=now,
        deployment=deployment,
    )


def as_json(pod: Pod) -> dict[str, Any]:
    """Return the v1.Pod of this moment."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(pod),
        "spec": _spec(pod),
        "status": _status(pod),
    }


def replica_set(deployment: str) -> dict[str, Any]:
    """Return the ReplicaSet between the pods and their Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment}-{TEMPLATE_HASH}",
            "namespace": NAMESPACE,
            "uid": f"{deployment}-{TEMPLATE_HASH}",
            "ownerReferences": [_owner("Deployment", deployment)],
        },
    }


def node() -> dict[str, Any]:
    """Return the one node, which names its GPUs and not how many it has: there are always more."""
    labels = {"nvidia.com/gpu.product": GPU_PRODUCT}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}}


def _metadata(pod: Pod) -> dict[str, Any]:
    found = {
        "name": pod.name,
        "namespace": NAMESPACE,
        "uid": pod.uid,
        "creationTimestamp": _stamp(pod.created_at),
        "labels": {
            "app": APP_LABEL,
            "pod-template-hash": TEMPLATE_HASH,
            "forescale.dev/source": "sidecar",
        },
        "annotations": ANNOTATIONS,
        "ownerReferences": [_owner("ReplicaSet", f"{pod.deployment}-{TEMPLATE_HASH}")],
    }
    if pod.ending_at is not None:
        found["deletionTimestamp"] = _stamp(pod.ending_at)
    return found


def _owner(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": True}


def _spec(pod: Pod) -> dict[str, Any]:
    placed = {} if pod.scheduled_at is None else {"nodeName": NODE}
    return placed | {
        "containers": [
            {
                "name": "llm-server",
                "ports": [{"name": "http", "containerPort": MODEL_PORT}],
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
            }
        ],
        "initContainers": [
            {
                "name": "forescale",
                "restartPolicy": "Always",
                "ports": [{"name": "forescale", "containerPort": SIDECAR_PORT}],
            }
        ],
    }


def _status(pod: Pod) -> dict[str, Any]:
    placed = _conditions("PodScheduled", pod.scheduled_at)
    if pod.started_at is None:
        return {"phase": pod.phase, "conditions": placed}
    ready = pod.ready_at is not None
    # While a pod was never ready its Ready condition carries the time at which it started.
    changed = pod.ready_at if pod.ready_at is not None else pod.started_at
    return {
        "phase": pod.phase,
        "podIP": pod.ip,
        "startTime": _stamp(pod.started_at),
        "conditions": [*placed, *_conditions("Ready", changed, status=ready)],
        "containerStatuses": [_container("llm-server", pod.started_at, ready=ready)],
        "initContainerStatuses": [_container("forescale", pod.started_at, ready=True)],
    }


def _conditions(kind: str, at: float | None, *, status: bool = True) -> list[dict[str, str]]:
    """Return the condition; none where it was not set yet."""
    if at is None:
        return []
    return [{"type": kind, "status": str(status), "lastTransitionTime": _stamp(at)}]


def _container(name: str, started_at: float, *, ready: bool) -> dict[str, Any]:
    return {
        "name": name,
        "ready": ready,
        "restartCount": 0,
        "state": {"running": {"startedAt": _stamp(started_at)}},
    }


def _stamp(seconds: float) -> str:
    """Return the time as Kubernetes writes it: whole seconds, UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _uuid(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))
