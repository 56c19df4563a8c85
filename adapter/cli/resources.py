"""The resources: an HPA's metrics of type Resource and ContainerResource, asked as it asks them.

Those of GPUs are ours: metrics.k8s.io is asked for them, pod by pod. CPU and memory are
metrics-server's, and the controller has rules of its own for CPU: there the HPA's status says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapter.cluster import Cluster, Json
from adapter.errors import KubeError
from adapter.model import hpa_resource
from adapter.model.gpuusage import GPU_RESOURCE
from adapter.model.hpa_metric import Member
from adapter.model.hpa_policy import Metric, PodsMetric, ResourceMetric
from adapter.model.hpa_resource import Resource, Use, resource

__all__ = ["Resource", "Use", "answered", "is_ours", "last_read", "read", "resource"]

STORY = "nvidia_gpu_utilization"  # the metric that the usage is made of
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods"
_PERCENT_OF = 100_000  # thousandths of a request of which one percent is a whole

_NO_VALUE = "metrics.k8s.io has no value of it for any pod (forescale doctor says whose it is)"
_NO_SERVER = "metrics.k8s.io has no server: docs/resource-metrics.md"
# What kube-apiserver says of a group that nobody serves, or whose server is away.
_UNSERVED = ("404 page not found", "service unavailable")

Answer = Mapping[str, int] | str


def is_ours(asked: Resource) -> bool:
    """Return whether the figure comes from the adapter."""
    return asked.metric.name == GPU_RESOURCE


async def read(
    kube: Cluster, asked: Resource, namespace: str, selector: str, pods: Sequence[Json]
) -> tuple[Use, ...] | str:
    """Return what each pod requests and uses, or in words why nobody says so."""
    try:
        items = (await kube.get(PODS.format(namespace), {"labelSelector": selector}))["items"]
    except KubeError as error:
        return _NO_SERVER if error.message in _UNSERVED else error.message
    return hpa_resource.uses(asked, pods, items)


def answered(asked: Resource, found: tuple[Use, ...] | str) -> tuple[Metric, Answer]:
    """Return the metric with the pods' requests in it, and the answer, as the controller reads."""
    if isinstance(found, str):
        return asked.metric, found
    metric = hpa_resource.with_requests(asked, found)
    if isinstance(metric, str):
        return asked.metric, metric
    values = {use.pod: use.usage_milli for use in found if use.usage_milli is not None}
    return metric, values or _NO_VALUE


def last_read(asked: Resource, hpa: Json, members: Sequence[Member]) -> tuple[Metric, Answer]:
    """Return the figure of the HPA's status as one that each of its running pods has."""
    figure = hpa_resource.current(asked, hpa.get("status", {}))
    if isinstance(figure, str):
        return asked.metric, figure
    counted = [one.name for one in members if one.phase == "Running" and not one.terminating]
    if isinstance(asked.metric, PodsMetric):
        return asked.metric, dict.fromkeys(counted, figure)
    metric = ResourceMetric(asked.metric.name, asked.metric.target_percent, _PERCENT_OF)
    return metric, dict.fromkeys(counted, figure * _PERCENT_OF // 100)
