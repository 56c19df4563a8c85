"""The autoscaler: one HPA of the cluster with its pods, and its metrics asked as it asks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from adapter.cli import resources
from adapter.cli.resources import Resource, Use
from adapter.cli.totals import Total, total
from adapter.cluster import Cluster, Json, located
from adapter.errors import KubeError, SettingsError
from adapter.model.catalogue import GROUP
from adapter.model.hpa import DEFAULT_FLAGS, tolerance_of
from adapter.model.hpa_conclusion import conclude
from adapter.model.hpa_metric import Invalid, Member, Proposal, Tolerance, propose
from adapter.model.hpa_policy import Metric, PodsMetric, Policy, TotalMetric, parse
from adapter.model.quantity import parse_milli

Asked = PodsMetric | Total | Resource

# A metric that always can be read, where the rest of an HPA is asked for.
_SOME: Json = {
    "type": "Pods",
    "pods": {
        "metric": {"name": "some"},
        "target": {"type": "AverageValue", "averageValue": "1"},
    },
}


class Workload(msgspec.Struct, frozen=True):
    """What an HPA scales; replicas and selector are those of its scale, asked for and there.

    `pods` are the selected ones as the API server shows them, `members` what a rule sees of them.
    """

    kind: str
    name: str
    replicas: int
    status_replicas: int
    selector: str
    members: tuple[Member, ...]
    pods: tuple[Json, ...] = ()


class Autoscaler:
    """One HorizontalPodAutoscaler as the API server shows it."""

    def __init__(self, hpa: Json, workload: Workload) -> None:
        self.hpa = hpa
        self.workload = workload
        manifest = _manifest(hpa)
        self.policy = _policy(hpa, manifest)
        told = [(one, _asked(manifest, one)) for one in hpa["spec"].get("metrics", [])]
        self.asked = tuple(asked for _, asked in told if asked is not None)  # in the HPA's order
        self._others = [f"{one['type']} {_name(one)}" for one, asked in told if asked is None]

    @classmethod
    async def read(cls, kube: Cluster, namespace: str, name: str) -> Autoscaler:
        """Return the HPA and its workload; raise KubeError where one is not there."""
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"
        hpa = await kube.get(path)
        workload = await _workload(kube, namespace, hpa["spec"]["scaleTargetRef"])
        return cls(hpa, workload)

    def others(self) -> list[str]:
        """Return in words the metrics whose arithmetic is not shown here."""
        return self._others

    def conclude(self, proposals: Sequence[Proposal | Invalid]) -> str:
        """Return what the HPA asks for in all, given the proposals of all that it asks."""
        replicas, status = self.workload.replicas, self.hpa.get("status", {})
        return conclude(self.policy, proposals, current=replicas, status=status)

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

    async def ask_resource(
        self, kube: Cluster, asked: Resource
    ) -> tuple[Proposal | Invalid, tuple[Use, ...]]:
        """Return what the controller makes of a resource, and what each pod uses of it.

        Of one that is not ours what the HPA's own status says is gone by, pod by pod nothing.
        """
        workload, tolerance = self.workload, self._tolerance()
        if not resources.is_ours(asked):
            metric, answer = resources.last_read(asked, self.hpa, workload.members)
            return propose(metric, answer, workload.members, workload.replicas, tolerance), ()
        found = await resources.read(
            kube, asked, self.policy.namespace, workload.selector, workload.pods
        )
        metric, answer = resources.answered(asked, found)
        proposal = propose(metric, answer, workload.members, workload.replicas, tolerance)
        return proposal, () if isinstance(found, str) else found

    def _tolerance(self) -> Tolerance:
        return tolerance_of(self.policy, DEFAULT_FLAGS)


async def _workload(kube: Cluster, namespace: str, reference: Json) -> Workload:
    version, kind, name = reference["apiVersion"], reference["kind"], reference["name"]
    root, plural = await located(kube, version, kind)
    scale = await kube.get(f"{root}/namespaces/{namespace}/{plural}/{name}/scale")
    selector = scale.get("status", {}).get("selector", "")
    pods = await kube.get(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})
    selected = tuple(pods["items"]) if selector else ()
    members = tuple(map(_member, selected))
    wanted = scale["spec"].get("replicas", 0)
    there = scale.get("status", {}).get("replicas", wanted)
    return Workload(kind, name, wanted, there, selector, members, selected)


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


def _policy(hpa: Json, manifest: Json) -> Policy:
    """Return the HPA's limits and behavior, which hold for each of its metrics; it has none."""
    read = parse(_with(manifest, _SOME))
    return msgspec.structs.replace(read, metrics=(), min_replicas=hpa["spec"].get("minReplicas", 1))


def _with(manifest: Json, metric: Json) -> Json:
    return {**manifest, "spec": {**manifest["spec"], "metrics": [metric]}}


def _asked(manifest: Json, one: Json) -> Asked | None:
    """Return one metric of the HPA; None where its arithmetic is not known."""
    return _pods(manifest, one) or total(manifest, one) or resources.resource(manifest, one)


def _pods(manifest: Json, one: Json) -> PodsMetric | None:
    try:
        (metric,) = parse(_with(manifest, one)).metrics
    except SettingsError:
        return None
    return metric if isinstance(metric, PodsMetric) else None


def _manifest(hpa: Json) -> Json:
    """Return the HPA as it is written; that it may go to 0 changes no metric's arithmetic.

    A `behavior` that is not known here, such as a newer API server's, is left out.
    """
    lowest = max(1, hpa["spec"].get("minReplicas", 1))
    spec = {**hpa["spec"], "minReplicas": lowest}
    made = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": hpa["metadata"],
        "spec": spec,
    }
    try:
        parse(_with(made, _SOME))
    except SettingsError:
        spec.pop("behavior", None)
    return made


def _name(metric: Json) -> str:
    source = next((value for value in metric.values() if isinstance(value, dict)), {})
    return str(source.get("metric", source).get("name", "?"))


def _values(answer: Json) -> dict[str, int]:
    items = answer["items"]
    return {item["describedObject"]["name"]: parse_milli(item["value"]) for item in items}
