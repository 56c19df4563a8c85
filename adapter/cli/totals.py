"""The totals: an HPA's metrics of objects and external ones, asked as it asks them."""

from __future__ import annotations

import msgspec

from adapter.cluster import Cluster, Json, located
from adapter.errors import KubeError, SettingsError
from adapter.model.catalogue import EXTERNAL_GROUP, EXTERNAL_VERSION, GROUP
from adapter.model.hpa_policy import Kind, TotalMetric, ValueMetric, parse
from adapter.model.owners import DEPLOYMENT, NAMESPACE
from adapter.model.quantity import parse_milli
from adapter.model.selector import Operator
from adapter.model.selector import parse as parse_selector


class Total(msgspec.Struct, frozen=True):
    """One metric of type Object, and the object that it is of, or of type External without one."""

    metric: TotalMetric | ValueMetric
    version: str = ""  # apiVersion of the object
    kind: str = ""
    name: str = ""

    @property
    def is_external(self) -> bool:
        return self.metric.kind is Kind.EXTERNAL

    @property
    def title(self) -> str:
        """What it is of, in words."""
        metric = self.metric
        whose = f" ({metric.selector})" if metric.selector else ""
        of = f"External{whose}" if self.is_external else f"of {self.kind} {self.name}"
        return f"{metric.name} {of}"

    def place(self, namespace: str) -> tuple[dict[str, str], str]:
        """Return whose story it is for the why page, and the selector that is left of the view."""
        if self.is_external:
            workload, kind, selector = whose(self.metric.selector)
            return {"namespace": namespace, "kind": kind, "name": workload}, selector
        group = self.version.rpartition("/")[0]
        kind = ".".join(filter(None, (self.kind, group)))
        # The controller asks for its own namespace, whatever the object is called.
        name = namespace if kind == NAMESPACE.qualified else self.name
        return {"namespace": namespace, "kind": kind, "name": name}, self.metric.selector

    async def value(self, kube: Cluster, namespace: str) -> int | str:
        """Ask for it as the controller does: thousandths, or in words why there are none."""
        try:
            if self.is_external:
                return _added(await kube.get(*self._external(namespace)))
            path, query = await self._object(kube, namespace)
            return _one(await kube.get(path, query))
        except KubeError as error:
            return error.message

    def _external(self, namespace: str) -> tuple[str, dict[str, str]]:
        # Clients write the names of external metrics in small letters.
        base = f"/apis/{EXTERNAL_GROUP}/{EXTERNAL_VERSION}/namespaces/{namespace}"
        query = {"labelSelector": self.metric.selector} if self.metric.selector else {}
        return f"{base}/{self.metric.name.lower()}", query

    async def _object(self, kube: Cluster, namespace: str) -> tuple[str, dict[str, str]]:
        query = {"metricLabelSelector": self.metric.selector} if self.metric.selector else {}
        base = f"/apis/{GROUP}/v1beta2/namespaces/{namespace}"
        if (self.kind, self.version) == (NAMESPACE.kind, NAMESPACE.version):
            return f"{base}/metrics/{self.metric.name}", query
        _, plural = await located(kube, self.version, self.kind)
        group = self.version.rpartition("/")[0]
        of = ".".join(filter(None, (plural, group)))
        return f"{base}/{of}/{self.name}/{self.metric.name}", query


def _added(answer: Json) -> int | str:
    """Return the sum, as the controller makes it of an external metric's answer."""
    items = answer["items"]
    return sum(parse_milli(item["value"]) for item in items) if items else "no metrics returned"


def _one(answer: Json) -> int | str:
    items = answer["items"]
    if len(items) != 1:
        return f"the answer has {len(items)} values, and the controller takes exactly one"
    return parse_milli(items[0]["value"])


def whose(selector: str) -> tuple[str, str, str]:
    """Return the workload and the kind that an external metric's selector names, and the rest."""
    found = {"workload": "", "kind": DEPLOYMENT.kind}
    rest = []
    try:
        for one in parse_selector(selector).requirements:
            value = next(iter(one.values), "")
            if one.operator is Operator.IN and one.key in found:
                found[one.key] = value
            else:
                rest.append(f"{one.key} {one.operator} ({','.join(sorted(one.values))})")
    except ValueError:  # the API refuses it, and the arithmetic has its words
        return "", "", ""
    return found["workload"], found["kind"], ",".join(rest)


def total(manifest: Json, one: Json) -> Total | None:
    """Return a metric of an HPA's manifest; None where it is of another type, or unknown."""
    if one["type"] not in (Kind.OBJECT, Kind.EXTERNAL):
        return None
    kind = Kind(one["type"])
    alone = {**manifest, "spec": {**manifest["spec"], "metrics": [one]}}
    try:
        (metric,) = parse(alone, (kind,), values=True).metrics
    except SettingsError:
        return None
    if not isinstance(metric, TotalMetric | ValueMetric):
        return None
    of = one[kind.lower()].get("describedObject", {})
    return Total(metric, of.get("apiVersion", "v1"), of.get("kind", ""), of.get("name", ""))
