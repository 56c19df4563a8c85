"""The pods: which replayed and real sidecars there are, and the Pod JSON of each."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

LABELS = {"app": "llm-inference", "forescale.dev/source": "sidecar"}
STAMP = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:05:00Z"


class Sidecar(msgspec.Struct, frozen=True):
    """Where one pod's sidecar listens, and whether its figures move from tick to tick."""

    namespace: str
    name: str
    uid: str
    ip: str
    port: int
    busy: bool


def of(namespace: str, number: int, ip: str, port: int, *, busy: bool) -> Sidecar:
    """Return the pod with this number in its namespace; its UID is made of both."""
    name = f"llm-inference-6d5f7c9b84-{number:05d}"
    uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{namespace}/{name}"))
    return Sidecar(namespace, name, uid, ip, port, busy)


def as_json(pod: Sidecar) -> dict[str, Any]:
    """Return the v1.Pod with its status: running and ready for long."""
    metadata = {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid, "labels": LABELS}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec(pod.port),
        "status": status(pod.ip),
    }


def spec(port: int) -> dict[str, Any]:
    """Return the spec of a model server with a sidecar, as the example manifests write it."""
    sidecar = {
        "name": "forescale",
        "image": "forescale-sidecar:0.1.0",
        "restartPolicy": "Always",
        "ports": [{"name": "forescale", "containerPort": port}],
        "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
        "resources": {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"memory": "96Mi"}},
    }
    server = {
        "name": "llm-server",
        "image": "my-llm-service:1.0",
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 5},
        "resources": {
            "limits": {"nvidia.com/gpu": "1", "memory": "48Gi", "cpu": "8"},
            "requests": {"nvidia.com/gpu": "1", "memory": "32Gi", "cpu": "4"},
        },
    }
    return {
        "nodeName": "gpu-node-0",
        "initContainers": [sidecar],
        "containers": [server],
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
    }


def status(ip: str) -> dict[str, Any]:
    """Return the status that a kubelet reports of such a pod."""
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    return {
        "phase": "Running",
        "hostIP": "10.77.33.1",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": STAMP,
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": LATER} for kind in conditions
        ],
        "containerStatuses": [_container("llm-server", "my-llm-service:1.0")],
        "initContainerStatuses": [_container("forescale", "forescale-sidecar:0.1.0")],
    }


def _container(name: str, image: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imageID": image,
        "containerID": f"containerd://{name}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": STAMP}},
    }
