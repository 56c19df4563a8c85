"""The totals: an HPA's metrics of objects, asked as it asks them, at no replicas too."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from adapter.cluster import Cluster, Json, located
from adapter.errors import KubeError, SettingsError
from adapter.model.catalogue import GROUP
from adapter.model.hpa_metric import Invalid, Proposal, Tolerance, propose
from adapter.model.hpa_policy import Kind, Metric, parse
from adapter.model.owners import NAMESPACE
from adapter.model.quantity import parse_milli


class Total(msgspec.Struct, frozen=True):
    """One metric of type Object with an AverageValue, and the object that it is of."""

    metric: Metric
    version: str  # apiVersion of the object
    kind: str
    name: str

    async def ask(
        self, kube: Cluster, namespace: str, replicas: int, tolerance: Tolerance
    ) -> Proposal | Invalid:
        """Ask for it as the controller does, and return what it makes of the answer."""
        query = {"metricLabelSelector": self.metric.selector} if self.metric.selector else {}
        base = f"/apis/{GROUP}/v1beta2/namespaces/{namespace}"
        try:
            answer = await kube.get(f"{base}/{await self._place(kube)}/{self.metric.name}", query)
            value: int | str = parse_milli(answer["items"][0]["value"])
        except KubeError as error:
            value = error.message
        return propose(self.metric, value, (), replicas, tolerance)

    async def _place(self, kube: Cluster) -> str:
        if (self.kind, self.version) == (NAMESPACE.kind, NAMESPACE.version):
            return "metrics"
        _, plural = await located(kube, self.version, self.kind)
        group = self.version.rpartition("/")[0]
        return f"{'.'.join(filter(None, (plural, group)))}/{self.name}"


def totals(manifest: Json) -> Iterator[Total]:
    """Yield those of an HPA's manifest whose arithmetic is known."""
    for one in manifest["spec"].get("metrics", []):
        if one["type"] != Kind.OBJECT:
            continue
        alone = {**manifest, "spec": {**manifest["spec"], "metrics": [one]}}
        try:
            (metric,) = parse(alone, (Kind.OBJECT,)).metrics
        except SettingsError:
            continue
        of = one["object"]["describedObject"]
        yield Total(metric, of.get("apiVersion", "v1"), of["kind"], of["name"])
