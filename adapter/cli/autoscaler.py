"""The autoscaler: one HPA of the cluster with its pods, and its metrics asked as it asks them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from adapter.cli.totals import Total, totals
from adapter.cluster import Cluster, Json, located
from adapter.errors import KubeError, SettingsError
from adapter.model.catalogue import GROUP
from adapter.model.hpa import DEFAULT_FLAGS, tolerance_of
from adapter.model.hpa_metric import Invalid, Member, Proposal, Tolerance, propose
from adapter.model.hpa_policy import Metric, Policy, TotalMetric, parse
from adapter.model.quantity import parse_milli


class Workload(msgspec.Struct, frozen=True):
    """What an HPA scales; replicas and selector are those of its scale, asked for and there."""

    kind: str
    name: str
    replicas: int
    status_replicas: int
    selector: str
    members: tuple[Member, ...]


class Autoscaler:
    """One HorizontalPodAutoscaler as the API server shows it."""

    def __init__(self, hpa: Json, workload: Workload, policy: Policy) -> None:
        self.hpa = hpa
        self.workload = workload
        self.policy = policy
        self.totals = tuple(totals(_manifest(hpa)))

    @classmethod
    async def read(cls, kube: Cluster, namespace: str, name: str) -> Autoscaler:
        """Return the HPA and its workload; raise KubeError where one is not there."""
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"
        hpa = await kube.get(path)
        workload = await _workload(kube, namespace, hpa["spec"]["scaleTargetRef"])
        return cls(hpa, workload, _policy(hpa))

    def others(self) -> list[str]:
        """Return in words the metrics whose arithmetic is not shown here."""
        shown = {("Pods", metric.name) for metric in self.policy.metrics}
        shown |= {(str(total.metric.kind), total.metric.name) for total in self.totals}
        asked = [(one["type"], _name(one)) for one in self.hpa["spec"].get("metrics", [])]
        return [" ".join(one) for one in asked if one not in shown]

    async def ask(self, kube: Cluster, metric: Metric) -> Proposal | Invalid:
        """Ask for the metric as the controller does, and return what it makes of the answer."""
        namespace = self.policy.namespace
        path = f"/apis/{GROUP}/v1beta2/namespaces/{namespace}/pods/*/{metric.name}"
        query = {"labelSelector": self.workload.selector}
        if metric.selector:
            query["metricLabelSelector"] = metric.selector
        try:
            answer: Mapping[str, int] | str = _values(await kube.get(path, query))
        except KubeError as error:
            answer = error.message
        workload = self.workload
        return propose(metric, answer, workload.members, workload.replicas, self._tolerance())

    async def ask_total(self, kube: Cluster, total: Total) -> Proposal | Invalid:
        """Ask for an object's or an external metric, as `ask` does."""
        answer, workload = await total.value(kube, self.policy.namespace), self.workload
        divided = isinstance(total.metric, TotalMetric)
        current = workload.status_replicas if divided else workload.replicas
        return propose(total.metric, answer, workload.members, current, self._tolerance())

    def _tolerance(self) -> Tolerance:
        return tolerance_of(self.policy, DEFAULT_FLAGS)


async def _workload(kube: Cluster, namespace: str, reference: Json) -> Workload:
    version, kind, name = reference["apiVersion"], reference["kind"], reference["name"]
    root, plural = await located(kube, version, kind)
    scale = await kube.get(f"{root}/namespaces/{namespace}/{plural}/{name}/scale")
    selector = scale.get("status", {}).get("selector", "")
    pods = await kube.get(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})
    members = tuple(_member(pod) for pod in pods["items"]) if selector else ()
    wanted = scale["spec"].get("replicas", 0)
    there = scale.get("status", {}).get("replicas", wanted)
    return Workload(kind, name, wanted, there, selector, members)


def _member(pod: Json) -> Member:
    metadata = pod["metadata"]
    status = pod.get("status", {})
    is_ready = {"type": "Ready", "status": "True"}.items()
    return Member(
        metadata["name"],
        status.get("phase", "Pending"),
        terminating="deletionTimestamp" in metadata,
        ready=any(is_ready <= condition.items() for condition in status.get("conditions", [])),
    )


def _policy(hpa: Json) -> Policy:
    """Return the policy of the HPA's Pods metrics; without any it has no metrics."""
    manifest = _manifest(hpa)
    spec = manifest["spec"]
    pods = [metric for metric in spec.get("metrics", []) if metric["type"] == "Pods"]
    try:
        return parse({**manifest, "spec": {**spec, "metrics": pods}})
    except SettingsError:
        metadata, target = hpa["metadata"], spec["scaleTargetRef"]
        scaled = f"{target['kind']}/{target['name']}"
        name, namespace = metadata["name"], metadata["namespace"]
        lowest, most = spec["minReplicas"], spec["maxReplicas"]
        return Policy(name, scaled, lowest, most, (), namespace=namespace)


def _manifest(hpa: Json) -> Json:
    """Return the HPA as it is written; that it may go to 0 changes no metric's arithmetic."""
    lowest = max(1, hpa["spec"].get("minReplicas", 1))
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": hpa["metadata"],
        "spec": {**hpa["spec"], "minReplicas": lowest},
    }


def _name(metric: Json) -> str:
    source = next((value for value in metric.values() if isinstance(value, dict)), {})
    return str(source.get("metric", source).get("name", "?"))


def _values(answer: Json) -> dict[str, int]:
    items = answer["items"]
    return {item["describedObject"]["name"]: parse_milli(item["value"]) for item in items}
