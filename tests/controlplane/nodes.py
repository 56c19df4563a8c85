"""The fake nodes: what a GPU node looks like to the API server and to a scheduler."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from tests.controlplane import podstatus
from tests.controlplane.api import CONFLICT, Api, ApiError, Unreachable

Json = dict[str, Any]

CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "5000", "ephemeral-storage": "1Ti"}

OF_KUBELETS = {"kubernetes.io/os": "linux"}

log = logging.getLogger(__name__)


async def register(
    api: Api, name: str, address: str, *, gpus: int, labels: Mapping[str, str]
) -> None:
    """Creates the Node, or takes it over, ready and without taints."""
    node = _node(name, address, gpus, labels)
    try:
        await api.post("/api/v1/nodes", node)
    except ApiError as error:
        if error.code != CONFLICT:
            raise
    await api.patch(f"/api/v1/nodes/{name}/status", {"status": node["status"]})
    # Admission taints a new node as not ready; the controller that would lift that is off.
    await api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})


async def unregister(api: Api, name: str) -> None:
    """Deletes the Node if it is there; the end of a test does not fail on it."""
    try:
        await api.delete(f"/api/v1/nodes/{name}")
    except (ApiError, Unreachable) as error:
        log.debug("node %s: %s", name, error)


def wanted_by(pod: Json) -> str | None:
    """The node a DaemonSet's pod is made for."""
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    for term in required.get("nodeSelectorTerms", []):
        for field in term.get("matchFields", []):
            if field["key"] == "metadata.name":
                return str(field["values"][0])
    return None


def _node(name: str, address: str, gpus: int, labels: Mapping[str, str]) -> Json:
    now = podstatus.rfc3339(dt.datetime.now(dt.UTC))
    resources = CAPACITY | {podstatus.GPU: str(gpus)}
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    addresses = [
        {"type": "InternalIP", "address": address},
        {"type": "Hostname", "address": name},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": OF_KUBELETS | {"kubernetes.io/hostname": name, **labels},
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [ready],
            "addresses": addresses,
        },
    }
