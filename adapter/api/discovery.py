"""Discovery: the documents that say which metrics exist, encoded once, the same for everyone.

They never depend on a snapshot: the aggregator marks a whole group stale, and no namespace in the
cluster can be deleted, when one of them fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from adapter.api.resource import GROUP as RESOURCE_GROUP
from adapter.api.resource import VERSION as RESOURCE_VERSION
from adapter.model.catalogue import EXTERNAL_GROUP, EXTERNAL_VERSION, GROUP, METRICS, VERSIONS
from adapter.model.owners import KNOWN, NAMESPACE, NODE, Kind, Owners
from adapter.model.target import DESIRED_REPLICAS, FORECASTS

Queried = tuple[tuple[str, Kind], ...]


def documents(
    owners: Owners = KNOWN, *, resource_metrics: bool = False, queried: Queried = ()
) -> dict[str, bytes]:
    """Return every document by its path, without a trailing slash.

    `queried` are the metrics that are queries, each with the kind of its objects.
    The external group is there even where it is not registered: an APIService that was left over
    must not go stale.
    """
    groups = [_group(GROUP, VERSIONS), _group(EXTERNAL_GROUP, (EXTERNAL_VERSION,))]
    if resource_metrics:
        groups.append(_group(RESOURCE_GROUP, (RESOURCE_VERSION,)))
    found: dict[str, object] = {
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        # Empty on purpose: the aggregator merges these into the cluster's own, and retries a 404.
        "/openapi/v2": {
            "swagger": "2.0",
            "info": {"title": "forescale", "version": VERSIONS[0]},
            "paths": {},
        },
        "/openapi/v3": {"paths": {}},
    }
    for group in groups:
        found[f"/apis/{group['name']}"] = {"kind": "APIGroup", "apiVersion": "v1", **group}
    for version in VERSIONS:
        found[f"/apis/{GROUP}/{version}"] = _resources(f"{GROUP}/{version}", _ours(owners, queried))
    every = (*_of_objects(), *FORECASTS, DESIRED_REPLICAS, *(name for name, _ in queried))
    names = dict.fromkeys(every)
    external = [metric(name, kind="ExternalMetricValueList") for name in names]
    found[f"/apis/{EXTERNAL_GROUP}/{EXTERNAL_VERSION}"] = _resources(
        f"{EXTERNAL_GROUP}/{EXTERNAL_VERSION}", external
    )
    if resource_metrics:
        found[f"/apis/{RESOURCE_GROUP}/{RESOURCE_VERSION}"] = _resources(
            f"{RESOURCE_GROUP}/{RESOURCE_VERSION}", _RESOURCE_METRICS
        )
    return {path: msgspec.json.encode(document) for path, document in found.items()}


class Documents:
    """Every document by its path, encoded once, and anew when other queries are served."""

    def __init__(
        self, owners: Owners, served: Callable[[], Queried], *, resource_metrics: bool
    ) -> None:
        self._owners = owners
        self._served = served
        self._resource_metrics = resource_metrics
        self._encoded_for = served()
        self._bodies = self._encoded()

    def __iter__(self) -> Iterator[str]:
        return iter(self._bodies)

    def __getitem__(self, path: str) -> bytes:
        served = self._served()
        if served != self._encoded_for:
            self._encoded_for = served
            self._bodies = self._encoded()
        return self._bodies[path]

    def _encoded(self) -> dict[str, bytes]:
        return documents(
            self._owners,
            resource_metrics=self._resource_metrics,
            queried=self._encoded_for,
        )


# As metrics-server has it.
_RESOURCE_METRICS = (
    {
        "name": "nodes",
        "singularName": "",
        "namespaced": False,
        "kind": "NodeMetrics",
        "verbs": ["get", "list"],
    },
    {
        "name": "pods",
        "singularName": "",
        "namespaced": True,
        "kind": "PodMetrics",
        "verbs": ["get", "list"],
    },
)


def _group(name: str, names: Iterable[str]) -> dict[str, object]:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in names]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resources(group_version: str, resources: Iterable[Mapping[str, object]]) -> dict[str, object]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": list(resources),
    }


def resources_with(
    owners: Owners, version: str, others: Iterable[Mapping[str, object]], queried: Queried = ()
) -> bytes:
    """Return the list of a version with another adapter's metrics behind ours.

    Of one name ours counts. kube-apiserver refuses a whole version in which metrics of one resource
    differ in `namespaced`: those that contradict an earlier one are left out.
    """
    merged: dict[str, Mapping[str, object]] = {}
    namespaced: dict[str, object] = {"namespaces": False}
    for found in (*_ours(owners, queried), *others):
        name = str(found["name"])
        known = namespaced.setdefault(name.partition("/")[0], found["namespaced"])
        if known == found["namespaced"]:
            merged.setdefault(name, found)
    return msgspec.json.encode(_resources(f"{GROUP}/{version}", merged.values()))


def _ours(owners: Owners, queried: Queried) -> list[dict[str, object]]:
    outside = tuple(f"{kind.path}/" for kind in (NAMESPACE, NODE, *owners.outside))
    names = (*_names(owners), *(f"{kind.path}/{name}" for name, kind in queried))
    return [metric(name, namespaced=not name.startswith(outside)) for name in names]


def _names(owners: Owners) -> Iterable[str]:
    yield from (f"pods/{name}" for name in (*METRICS, *FORECASTS))
    for parent in (*owners.by_path, NAMESPACE.path, NODE.path):
        yield from (f"{parent}/{name}" for name in _of_objects())
    for kind in owners.by_path.values():
        names = (*FORECASTS, DESIRED_REPLICAS) if kind.namespaced else ()
        yield from (f"{kind.path}/{name}" for name in names)


def _of_objects() -> list[str]:
    return [it.name for it in METRICS.values() if it.totals or it.distribution]


def metric(
    name: str, *, namespaced: bool = True, kind: str = "MetricValueList"
) -> dict[str, object]:
    """Return the entry of `resource/metric`."""
    # Only `get`: with list, watch or delete the garbage collector, quota and namespace controllers
    # of the cluster would begin to call.
    return {
        "name": name,
        "singularName": "",
        "namespaced": namespaced,
        "kind": kind,
        "verbs": ["get"],
    }
