"""The question: what one of an HPA's metrics is, and how the HPA controller asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from adapter.cluster import Json
from adapter.model.catalogue import EXTERNAL_GROUP, EXTERNAL_VERSION, GROUP, METRICS, VERSIONS
from adapter.model.gpuusage import GPU_RESOURCE

_CUSTOM = f"/apis/{GROUP}/{VERSIONS[0]}/namespaces"
_EXTERNAL = f"/apis/{EXTERNAL_GROUP}/{EXTERNAL_VERSION}/namespaces"
_RESOURCE = "/apis/metrics.k8s.io/v1beta1/namespaces"
_STEMS = ("nvidia_gpu_", "llm_inference_", "forescale_")


class Asked(NamedTuple):
    """One of an HPA's spec.metrics; `target` is `{type, averageValue, …}`."""

    kind: str
    name: str
    labels: dict[str, str]  # of the metric's selector, where it says `key = one value`
    selector: str  # the same as a query
    target: Json
    described: Json  # the describedObject of an Object metric
    container: str  # of a ContainerResource

    @property
    def is_gpu_resource(self) -> bool:
        return self.kind in ("Resource", "ContainerResource") and self.name == GPU_RESOURCE

    @property
    def is_ours(self) -> bool:
        """Whether the name is one of ours, or looks as if it were meant to be."""
        return self.name in METRICS or self.name.startswith(_STEMS) or self.is_gpu_resource


def asked(metric: Json) -> Asked:
    """Return one entry of spec.metrics; one of an unknown type has no name."""
    kind = str(metric.get("type", ""))
    source = metric.get(kind[:1].lower() + kind[1:]) or {}
    wanted = source.get("metric") or source
    selector = wanted.get("selector") or {}
    return Asked(
        kind,
        str(wanted.get("name", "")),
        dict(_labels(selector)),
        _query(selector),
        source.get("target") or {},
        source.get("describedObject") or {},
        str(source.get("container", "")),
    )


def metrics(hpa: Json) -> list[Asked]:
    """Return all metrics of an HPA."""
    return [asked(metric) for metric in hpa["spec"].get("metrics") or ()]


def concerns(hpa: Json) -> bool:
    """Return whether an HPA goes by a metric of ours."""
    return any(metric.is_ours for metric in metrics(hpa))


def query(
    metric: Asked, namespace: str, pods: str, resource: str = ""
) -> tuple[str, dict[str, str]] | None:
    """Return path and parameters; None where it is not looked at: CPU, memory, an unknown type.

    `pods` is the selector of the scaled pods, `resource` what an Object metric's object is called
    in a path: `deployments.apps`.
    """
    if metric.is_gpu_resource:
        return f"{_RESOURCE}/{namespace}/pods", {"labelSelector": pods}
    own = {"metricLabelSelector": metric.selector} if metric.selector else {}
    match metric.kind:
        case "Pods":
            return f"{_CUSTOM}/{namespace}/pods/*/{metric.name}", {"labelSelector": pods, **own}
        case "Object":
            place = f"{resource}/{metric.described.get('name', '')}"
            within = "metrics" if resource == "namespaces" else place
            return f"{_CUSTOM}/{namespace}/{within}/{metric.name}", own
        case "External":
            chosen = {"labelSelector": metric.selector} if metric.selector else {}
            return f"{_EXTERNAL}/{namespace}/{metric.name}", chosen
    return None


def _labels(selector: Json) -> Iterator[tuple[str, str]]:
    yield from (selector.get("matchLabels") or {}).items()
    for one in selector.get("matchExpressions") or ():
        values = list(one.get("values") or ())
        if one.get("operator") == "In" and len(values) == 1:
            yield one["key"], values[0]


def _query(selector: Json) -> str:
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        key, values = one.get("key", ""), ",".join(one.get("values") or ())
        terms.append({
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "DoesNotExist": f"!{key}",
        }.get(str(one.get("operator")), key))  # fmt: skip
    return ",".join(terms)
