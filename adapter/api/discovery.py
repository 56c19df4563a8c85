"""Discovery: the documents that say which metrics exist, encoded once, the same for everyone.

They never depend on a snapshot: the aggregator marks a whole group stale, and no namespace in the
cluster can be deleted, when one of them fails.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from adapter.model.catalogue import GROUP, METRICS, OWNER_RESOURCES, VERSIONS


def documents() -> dict[str, bytes]:
    """Return every document by its path, without a trailing slash."""
    found: dict[str, object] = {
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group()]},
        f"/apis/{GROUP}": {"kind": "APIGroup", "apiVersion": "v1", **_group()},
        # Empty on purpose: the aggregator merges these into the cluster's own, and retries a 404.
        "/openapi/v2": {
            "swagger": "2.0",
            "info": {"title": "forescale", "version": VERSIONS[0]},
            "paths": {},
        },
        "/openapi/v3": {"paths": {}},
    }
    for version in VERSIONS:
        found[f"/apis/{GROUP}/{version}"] = _resources(version)
    return {path: msgspec.json.encode(document) for path, document in found.items()}


def _group() -> dict[str, object]:
    versions = [{"groupVersion": f"{GROUP}/{version}", "version": version} for version in VERSIONS]
    return {"name": GROUP, "versions": versions, "preferredVersion": versions[0]}


def _resources(version: str) -> dict[str, object]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{GROUP}/{version}",
        "resources": [_resource(name) for name in _names()],
    }


def _names() -> Iterable[str]:
    for metric in METRICS.values():
        yield f"pods/{metric.name}"
    for owner in OWNER_RESOURCES:
        yield from (f"{owner}/{metric.name}" for metric in METRICS.values() if metric.totals)


def _resource(name: str) -> dict[str, object]:
    # Only `get`: with list, watch or delete the garbage collector, quota and namespace controllers
    # of the cluster would begin to call.
    return {
        "name": name,
        "singularName": "",
        "namespaced": True,
        "kind": "MetricValueList",
        "verbs": ["get"],
    }
