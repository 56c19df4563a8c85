"""A Resource metric's figures: what pods request and use, by the controller's rules.

    Pods, PodMetrics -> request and usage of each pod in thousandths, or in words why there is none

One container without the key makes the whole pod silent; one without a request makes the metric
invalid for all pods (calculateRequests of replica_calculator.go, getPodMetrics of its client).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from adapter.errors import SettingsError
from adapter.model.hpa_policy import Kind, PodsMetric, ResourceMetric, parse
from adapter.model.quantity import parse_milli

Json = Mapping[str, Any]

CONTAINER_RESOURCE = "ContainerResource"
_KINDS = (Kind.RESOURCE,)
_POD_LEVEL = ("cpu", "memory", "hugepages-")  # the resources that a pod's own spec can request


class Resource(msgspec.Struct, frozen=True):
    """One metric of type Resource, or ContainerResource where `container` is not empty."""

    metric: ResourceMetric | PodsMetric
    container: str = ""

    @property
    def title(self) -> str:
        """What it is of, in words."""
        kind = f"{CONTAINER_RESOURCE} of {self.container}" if self.container else "Resource"
        return f"{self.metric.name} {kind}"


class Use(msgspec.Struct, frozen=True, rename="camel"):
    """What one pod requests and uses, in thousandths; None where `why` says why."""

    pod: str
    request_milli: int | None
    usage_milli: int | None
    why: str = ""


def resource(manifest: Json, one: Json) -> Resource | None:
    """Return the metric of an HPA's manifest; None for another type, or a target unknown here."""
    if one.get("type") not in (Kind.RESOURCE, CONTAINER_RESOURCE):
        return None
    inner = one.get("resource") or one.get("containerResource") or {}
    alone = {"type": "Resource", "resource": inner}
    try:
        read = parse({**manifest, "spec": {**manifest["spec"], "metrics": [alone]}}, _KINDS)
    except SettingsError:
        return None
    (metric,) = read.metrics
    if not isinstance(metric, ResourceMetric | PodsMetric):
        return None
    return Resource(metric, str(inner.get("container", "")))


def uses(asked: Resource, pods: Sequence[Json], items: Sequence[Json]) -> tuple[Use, ...]:
    """Return what each of the pods requests and uses; `items` are of a PodMetricsList."""
    by_name = {item["metadata"]["name"]: item for item in items}
    return tuple(_use(asked, pod, by_name.get(pod["metadata"]["name"])) for pod in pods)


def with_requests(asked: Resource, known: Sequence[Use]) -> ResourceMetric | PodsMetric | str:
    """Return the metric with each pod's request in it; the words why one is missing."""
    if isinstance(asked.metric, PodsMetric):  # an AverageValue divides by no request
        return asked.metric
    missing = next((use for use in known if use.request_milli is None), None)
    if missing is not None:
        return f"{missing.why} of pod {missing.pod}"
    requests = {use.pod: use.request_milli or 0 for use in known}
    return msgspec.structs.replace(asked.metric, requests_milli=requests)


def current(asked: Resource, status: Json) -> int | str:
    """Return what the HPA's own status says: percent, or the average in thousandths.

    The words why there is none where it has no value.
    """
    for one in status.get("currentMetrics") or ():
        inner = one.get("resource") or one.get("containerResource") or {}
        whose = (inner.get("name"), inner.get("container", ""))
        if whose == (asked.metric.name, asked.container):
            return _figure(asked.metric, inner.get("current", {}))
    return "the HPA has no value of it"


def _figure(metric: ResourceMetric | PodsMetric, found: Json) -> int | str:
    field = "averageUtilization" if isinstance(metric, ResourceMetric) else "averageValue"
    if found.get(field) is None:
        return f"the HPA has no {field} of it"
    return int(found[field]) if field == "averageUtilization" else parse_milli(str(found[field]))


def _use(asked: Resource, pod: Json, item: Json | None) -> Use:
    name, wanted = pod["metadata"]["name"], asked.metric.name
    request = request_milli(pod, wanted, asked.container)
    if isinstance(request, str) and isinstance(asked.metric, ResourceMetric):
        return Use(name, None, None, request)
    asking = None if isinstance(request, str) else request
    if item is None:
        return Use(name, asking, None, "metrics.k8s.io has no item of it")
    usage = usage_milli(item, wanted, asked.container)
    if isinstance(usage, str):
        return Use(name, asking, None, usage)
    return Use(name, asking, usage)


def request_milli(pod: Json, name: str, container: str = "") -> int | str:
    """Return the pod's request of an extended resource, or the words for the one missing."""
    spec = pod["spec"]
    if not container and any(key.startswith(_POD_LEVEL) for key in _requests(spec)):
        return _of_pod(spec, name)
    total, found = 0, False
    for one in _lasting(spec):
        if container in ("", one["name"]):
            if name not in _requests(one):
                return f"missing request for {name} in container {one['name']}"
            total, found = total + parse_milli(str(_requests(one)[name])), True
    return total if found else f"there is no container {container}"


def _of_pod(spec: Json, name: str) -> int | str:
    """Return the request where the pod's spec has requests of its own: one container suffices.

    What the containers request together, or a plain init container beside the native ones before.
    """
    every = [*spec["containers"], *spec.get("initContainers", ())]
    if not any(name in _requests(one) for one in every):
        return f"missing pod-level request for {name}"
    largest = sum(_milli(one, name) for one in _lasting(spec))
    before = 0
    for one in spec.get("initContainers", ()):
        largest = max(largest, before + _milli(one, name))
        before += _milli(one, name) if _is_native(one) else 0
    return largest


def usage_milli(item: Json, name: str, container: str = "") -> int | str:
    """Return the pod's usage by a PodMetrics item, or the words why it counts as missing."""
    of = [one for one in item.get("containers", ()) if container in ("", one["name"])]
    if not of:
        return f"metrics.k8s.io has no container {container or 'of it'}"
    for one in of:
        if name not in one.get("usage", {}):
            return f"metrics.k8s.io has no {name} of container {one['name']}"
    return sum(parse_milli(str(one["usage"][name])) for one in of)


def _lasting(spec: Json) -> Iterator[Json]:
    yield from spec["containers"]
    yield from (one for one in spec.get("initContainers", ()) if _is_native(one))


def _is_native(container: Json) -> bool:
    return container.get("restartPolicy") == "Always"


def _requests(node: Json) -> Json:
    found: Json = (node.get("resources") or {}).get("requests") or {}
    return found


def _milli(container: Json, name: str) -> int:
    return parse_milli(str(_requests(container).get(name, "0")))
