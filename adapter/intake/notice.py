"""The notice: an Event about our Service or a pod, where whoever looks for the cause finds it."""

from __future__ import annotations

from datetime import UTC, datetime

from adapter.cluster import Cluster, Json
from adapter.errors import KubeError
from adapter.model.fleet import Pod
from adapter.settings import Api
from adapter.telemetry import warn

TAKEN = 409


async def tell(cluster: Cluster, api: Api, reason: str, kind: str, words: str) -> None:
    """Write one about our Service; one that cannot be is logged. `kind` is Normal or Warning."""
    involved = {"kind": "Service", "namespace": api.namespace, "name": api.service}
    metadata = {"generateName": f"{api.service}-"}
    await _write(cluster, involved, metadata, {"reason": reason, "type": kind, "message": words})


async def tell_of(cluster: Cluster, pod: Pod, name: str, reason: str, words: str) -> None:
    """Write a Warning about a pod under a name, so that of several replicas one writes it."""
    involved = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
    said = {"reason": reason, "type": "Warning", "message": words}
    await _write(cluster, involved, {"name": name}, said)


async def _write(cluster: Cluster, involved: Json, metadata: Json, said: dict[str, str]) -> None:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    namespace = involved["namespace"]
    body = said | {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": metadata | {"namespace": namespace},
        "involvedObject": {"apiVersion": "v1"} | involved,
        "source": {"component": "forescale-adapter"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    try:
        await cluster.create(f"/api/v1/namespaces/{namespace}/events", body)
    except KubeError as error:
        if error.code != TAKEN:
            warn("event_not_written", reason=said["reason"], why=str(error))
