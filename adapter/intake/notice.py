"""The notice: an Event about our Service, where whoever looks for the cause finds it."""

from __future__ import annotations

from datetime import UTC, datetime

from adapter.cluster import Cluster
from adapter.errors import KubeError
from adapter.settings import Api
from adapter.telemetry import warn


async def tell(cluster: Cluster, api: Api, reason: str, kind: str, words: str) -> None:
    """Write it; one that cannot be written is logged. `kind` is Normal or Warning."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    involved = {"apiVersion": "v1", "kind": "Service", "namespace": api.namespace}
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{api.service}-", "namespace": api.namespace},
        "involvedObject": involved | {"name": api.service},
        "reason": reason,
        "message": words,
        "type": kind,
        "source": {"component": "forescale-adapter"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    try:
        await cluster.create(f"/api/v1/namespaces/{api.namespace}/events", body)
    except KubeError as error:
        warn("event_not_written", reason=reason, why=str(error))
