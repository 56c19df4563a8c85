"""The workloads that tests create: a GPU Deployment with a native sidecar, and its conditions."""

from __future__ import annotations

from typing import Any

from tests.controlplane.api import Api

Json = dict[str, Any]

CONTAINER: Json = {
    "name": "llm",
    "image": "model:1",
    "resources": {"limits": {"nvidia.com/gpu": "1"}},
}


def deployment(
    name: str,
    *,
    replicas: int = 1,
    annotations: dict[str, str] | None = None,
    pod_spec: Json | None = None,
) -> Json:
    labels = {"app": name}
    sidecar = {"name": "forescale", "image": "sidecar:1", "restartPolicy": "Always"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations or {}},
                "spec": {"containers": [CONTAINER], "initContainers": [sidecar]} | (pod_spec or {}),
            },
        },
    }


async def create_deployment(api: Api, namespace: str, body: Json) -> Json:
    return await api.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", body)


def condition(thing: Json, kind: str) -> Json:
    """The condition of that type, {} where there is none."""
    found = (c for c in thing.get("status", {}).get("conditions", []) if c["type"] == kind)
    return next(found, {})
