"""The policy: what a HorizontalPodAutoscaler manifest asks of the controller, parsed and frozen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

import msgspec

from adapter.errors import SettingsError
from adapter.model.manifest import Field

MAX_PERIOD_SECONDS = 1800  # what kube-apiserver's validation accepts
MAX_WINDOW_SECONDS = 3600


class ChangeType(StrEnum):
    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class Kind(StrEnum):
    """The types of metrics whose arithmetic is here."""

    PODS = "Pods"
    OBJECT = "Object"
    EXTERNAL = "External"
    RESOURCE = "Resource"
    CONTAINER_RESOURCE = "ContainerResource"


class PodsMetric(msgspec.Struct, frozen=True):
    """One metric by pod with an AverageValue: of type Pods, or of a resource.

    `selector` is the metric's, as a query.
    """

    name: str
    target_milli: int
    selector: str = ""
    kind: Kind = Kind.PODS


class TotalMetric(msgspec.Struct, frozen=True):
    """One metric of type Object or External with an AverageValue: a total over all pods."""

    name: str
    target_milli: int
    selector: str = ""
    kind: Kind = Kind.EXTERNAL


class ValueMetric(msgspec.Struct, frozen=True):
    """One metric of type Object or External with a Value: a figure that no replicas divide."""

    name: str
    target_milli: int
    selector: str = ""
    kind: Kind = Kind.EXTERNAL


class ResourceMetric(msgspec.Struct, frozen=True):
    """One metric of type Resource with an averageUtilization.

    `request_milli` is what each pod requests of it; where `requests_milli` has entries, these are
    all the pods there are and what each of them requests.
    """

    name: str
    target_percent: int
    request_milli: int = 1000
    selector: str = ""
    requests_milli: Mapping[str, int] = msgspec.field(default_factory=dict)
    kind: Kind = Kind.RESOURCE

    def requested(self, pods: Iterable[str]) -> dict[str, int]:
        """Return what these pods request, without those that are none."""
        if not self.requests_milli:
            return dict.fromkeys(pods, self.request_milli)
        return {pod: self.requests_milli[pod] for pod in pods if pod in self.requests_milli}


Metric = PodsMetric | TotalMetric | ValueMetric | ResourceMetric


class Change(msgspec.Struct, frozen=True):
    """One scaling policy: at most `value` pods or percent within `period_seconds`."""

    type: ChangeType
    value: int
    period_seconds: int


class Rules(msgspec.Struct, frozen=True):
    """One direction of `behavior`; None takes the controller's flag."""

    changes: tuple[Change, ...]
    select: SelectPolicy = SelectPolicy.MAX
    window_seconds: int | None = None
    tolerance_ratio: float | None = None


# The API server's defaults for a direction that `behavior` leaves out.
SCALE_UP = Rules(
    (Change(ChangeType.PODS, 4, 15), Change(ChangeType.PERCENT, 100, 15)), window_seconds=0
)
SCALE_DOWN = Rules((Change(ChangeType.PERCENT, 100, 15),))


class Behavior(msgspec.Struct, frozen=True):
    """Both directions of `spec.behavior`, defaults filled in."""

    up: Rules = SCALE_UP
    down: Rules = SCALE_DOWN


class Policy(msgspec.Struct, frozen=True):
    """One autoscaler; `behavior` is None where the manifest has none (other rules apply then)."""

    name: str
    target: str  # kind/name of the scaled object
    min_replicas: int
    max_replicas: int
    metrics: tuple[Metric, ...]
    behavior: Behavior | None = None
    namespace: str = "default"

    @property
    def wakes(self) -> bool:
        """Whether a metric can be read while there are no pods."""
        return any(isinstance(metric, TotalMetric | ValueMetric) for metric in self.metrics)


class Flags(msgspec.Struct, frozen=True):
    """The flags of kube-controller-manager that enter the arithmetic, with their defaults."""

    tolerance_ratio: float = 0.1
    downscale_window_seconds: float = 300.0
    sync_seconds: float = 15.0


def parse(
    manifest: object, kinds: Collection[Kind] = (Kind.PODS,), *, values: bool = False
) -> Policy:
    """Return the policy of an autoscaling/v2 HorizontalPodAutoscaler, given as a dict.

    Raises SettingsError with every problem, each naming the field and the fix. Metrics of other
    types than `kinds`, those that the caller can answer, are a problem, and so is a target of type
    Value without `values`.
    """
    node = Field(manifest, "", [])
    node.equals("kind", "HorizontalPodAutoscaler")
    if node.problems:  # of something else every field would be wrong, too
        raise SettingsError(node.problems)
    node.equals("apiVersion", "autoscaling/v2")
    metadata, spec = node.child("metadata"), node.child("spec")
    target = spec.child("scaleTargetRef")
    lowest = spec.integer("minReplicas", 1, at_least=0)
    metrics = tuple(_metric(item, kinds, values=values) for item in spec.items("metrics"))
    if not metrics:
        spec.wrong("metrics", f"is empty: name at least one metric of type {' or '.join(kinds)}")
    if not lowest and not any(isinstance(one, TotalMetric | ValueMetric) for one in metrics):
        spec.wrong("minReplicas", "is 0: that needs a metric of type Object or External")
    policy = Policy(
        name=metadata.text("name", "hpa"),
        namespace=metadata.text("namespace", "default"),
        target=f"{target.text('kind')}/{target.text('name')}",
        min_replicas=lowest,
        max_replicas=spec.integer("maxReplicas", None, at_least=max(lowest, 1)),
        metrics=metrics,
        behavior=_behavior(spec.child("behavior")) if spec.has("behavior") else None,
    )
    if node.problems:
        raise SettingsError(node.problems)
    return policy


def _metric(node: Field, kinds: Collection[Kind], *, values: bool) -> Metric:
    kind = node.text("type")
    if kind not in kinds:
        node.wrong("type", f"is `{kind}`: use type {' or '.join(kinds)}, as every metric here")
        return PodsMetric("", 1)
    if kind in (Kind.RESOURCE, Kind.CONTAINER_RESOURCE):
        key = "resource" if kind == Kind.RESOURCE else "containerResource"
        return _resource(node.child(key), Kind(kind))
    found = node.child(kind.lower())
    metric = found.child("metric")
    name, selector = metric.text("name"), _selector(metric.child("selector"))
    target = found.child("target")
    if values and kind != Kind.PODS and target.text("type") == "Value":
        milli = _above_zero(target, "value", "it is what the figure is divided by")
        return ValueMetric(name, milli, selector, Kind(kind))
    milli = _average_value(target)
    if kind == Kind.PODS:
        return PodsMetric(name, milli, selector)
    return TotalMetric(name, milli, selector, Kind(kind))


def _average_value(target: Field) -> int:
    target.equals("type", "AverageValue")
    return _above_zero(target, "averageValue", "it is what each pod may have")


def _above_zero(target: Field, field: str, what: str) -> int:
    milli = target.milli(field)
    if milli is None or milli <= 0:
        target.wrong(field, f"must be above 0: {what}")
    return milli or 1


def _resource(node: Field, kind: Kind) -> Metric:
    name, target = node.text("name"), node.child("target")
    if target.text("type") == "AverageValue":
        return PodsMetric(name, _average_value(target), kind=kind)
    target.equals("type", "Utilization")
    percent = target.integer("averageUtilization", None, at_least=1)
    return ResourceMetric(name, percent, kind=kind)


def _selector(node: Field) -> str:
    """Return a label selector as the query string that the controller sends for it."""
    terms = {key: f"{key}={value}" for key, value in node.child("matchLabels").mapping().items()}
    for item in node.items("matchExpressions"):
        key, operator = item.text("key"), item.text("operator")
        values = ",".join(sorted(str(value) for value in item.sequence("values")))
        spelled = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }.get(operator)
        if spelled is None:
            item.wrong("operator", f"is `{operator}`: use In, NotIn, Exists or DoesNotExist")
        terms[f"{key} {operator}"] = spelled or ""
    return ",".join(terms[key] for key in sorted(terms))


def _behavior(node: Field) -> Behavior:
    return Behavior(
        _rules(node.child("scaleUp"), SCALE_UP), _rules(node.child("scaleDown"), SCALE_DOWN)
    )


def _rules(node: Field, default: Rules) -> Rules:
    changes = tuple(_change(item) for item in node.items("policies"))
    if node.has("policies") and not changes:
        node.wrong("policies", "is empty: give at least one, or leave the field out")
    tolerance_milli = node.milli("tolerance")
    if tolerance_milli is not None and tolerance_milli < 0:
        node.wrong("tolerance", "must be 0 or above, such as 0.1 for ten percent")
    return Rules(
        changes=changes or default.changes,
        select=node.choice("selectPolicy", SelectPolicy, default.select),
        window_seconds=_window(node, default.window_seconds),
        # The controller takes the quantity's canonical mantissa times its power of ten, and the
        # canonical form of such a figure is in thousandths.
        tolerance_ratio=None if tolerance_milli is None else tolerance_milli * 0.001,
    )


def _window(node: Field, default: int | None) -> int | None:
    if not node.has("stabilizationWindowSeconds"):
        return default
    return node.integer("stabilizationWindowSeconds", 0, at_least=0, at_most=MAX_WINDOW_SECONDS)


def _change(node: Field) -> Change:
    return Change(
        node.choice("type", ChangeType),
        node.integer("value", None, at_least=1),
        node.integer("periodSeconds", None, at_least=1, at_most=MAX_PERIOD_SECONDS),
    )
