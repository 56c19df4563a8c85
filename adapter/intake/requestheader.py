"""The front proxy's ConfigMap: followed, so that a rotated CA counts without a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapter.cluster import Cluster, Json
from adapter.telemetry import Once, event, warn

NAMESPACE = "kube-system"
NAME = "extension-apiserver-authentication"


async def follow(cluster: Cluster, apply: Callable[[Mapping[str, str]], None]) -> None:
    """Hand over the ConfigMap's data at first and at each change, until cancelled.

    Empty data where the ConfigMap does not exist: then nobody is a front proxy. What `apply` cannot
    read (ValueError) is told once, and the state before stays in force.
    """
    once = Once(warn)
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    async for kind, body in cluster.watch(path, {"fieldSelector": f"metadata.name={NAME}"}):
        try:
            apply(_data(kind, body))
        except ValueError as error:
            once("front_proxy_unreadable", NAME, str(error), configmap=f"{NAMESPACE}/{NAME}")
        else:
            once.clear(NAME)
            event("front_proxy_read", configmap=f"{NAMESPACE}/{NAME}")


def _data(kind: str, body: list[Json] | Json) -> Mapping[str, str]:
    if isinstance(body, list):
        body = body[0] if body else {}
    elif kind == "DELETED":
        body = {}
    return body.get("data") or {}
