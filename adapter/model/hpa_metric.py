"""One metric's proposal: how many replicas the controller wants for one metric.

The arithmetic is that of kube-controller-manager: int64 thousandths with division towards zero,
float64 ratios, and its rules for pods that are pending or have no value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from adapter.model.hpa_policy import Metric, PodsMetric, ResourceMetric, TotalMetric, ValueMetric

MAX_INT32 = 2**31 - 1


class Member(msgspec.Struct, frozen=True):
    """One pod that the scaled object's selector matches, as the API server shows it."""

    name: str
    phase: str = "Running"
    terminating: bool = False
    ready: bool = True  # by its condition Ready, which the rule of Value alone asks for


class Tolerance(msgspec.Struct, frozen=True):
    """How far the ratio may be from 1 before replicas change."""

    down: float = 0.1
    up: float = 0.1

    def holds(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Groups(msgspec.Struct, frozen=True):
    """The pods by what the controller makes of them; all but `ready` are names."""

    ready: int
    unready: frozenset[str]  # Pending: no value counts, 0 on the way up
    missing: frozenset[str]  # no value: the target on the way down, 0 on the way up
    ignored: frozenset[str]  # failed or being deleted: as if they were not there


class Proposal(msgspec.Struct, frozen=True):
    """What one metric asks for; `usage_milli` is the average that `kubectl get hpa` shows.

    Of a Resource metric that is the usage too, though kubectl shows its percentage.
    """

    metric: str
    replicas: int
    usage_milli: int
    why: str


class Invalid(msgspec.Struct, frozen=True):
    """A metric that gave no proposal, and why."""

    metric: str
    why: str


def group(members: Iterable[Member], values: Mapping[str, int]) -> Groups:
    """Return the pods in the controller's groups; readiness plays no part for such metrics."""
    ready, unready, missing, ignored = 0, set(), set(), set()
    for member in members:
        if member.terminating or member.phase == "Failed":
            ignored.add(member.name)
        elif member.phase == "Pending":
            unready.add(member.name)
        elif member.name not in values:
            missing.add(member.name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def propose(
    metric: Metric,
    answer: Mapping[str, int] | int | str,
    members: Iterable[Member],
    current: int,
    tolerance: Tolerance,
) -> Proposal | Invalid:
    """Return the proposal for the answer of the metrics API, or why there is none.

    The answer is milli-values by pod, for a total or a Value one milli-value, or an error in words.
    Every value counts, also one whose name is no pod of the workload, as in the controller.
    """
    if isinstance(answer, str):
        return Invalid(metric.name, f"{metric.name}: {answer}")
    if isinstance(metric, TotalMetric | ValueMetric) or isinstance(answer, int):
        return _from_one(metric, answer, tuple(members), current, tolerance)
    if not answer:
        return Invalid(metric.name, f"{metric.name}: the answer has no values")
    pods = tuple(members)
    if not pods:
        return Invalid(metric.name, f"{metric.name}: the selector matches no pods")
    groups = group(pods, answer)
    counted = {
        name: milli
        for name, milli in answer.items()
        if name not in groups.ignored and name not in groups.unready
    }
    if not counted:
        return Invalid(metric.name, f"{metric.name}: only for pods that are pending or ending")
    return _from_values(metric, counted, groups, current, tolerance)


def _from_one(
    metric: Metric,
    answer: Mapping[str, int] | int,
    pods: Sequence[Member],
    current: int,
    tolerance: Tolerance,
) -> Proposal | Invalid:
    if isinstance(metric, TotalMetric) and isinstance(answer, int):
        return _from_total(metric, answer, current, tolerance)
    if isinstance(metric, ValueMetric) and isinstance(answer, int):
        return _from_value(metric, answer, pods, current, tolerance)
    return Invalid(metric.name, f"{metric.name}: a total answers Object and External alone")


def _from_total(metric: TotalMetric, answer: int, current: int, tolerance: Tolerance) -> Proposal:
    """The rule of AverageValue for Object and External: readiness plays no part, 0 pods neither."""
    # From no replicas the controller's ratio is infinite, or no number: none is within a tolerance.
    ratio = answer / (float(metric.target_milli) * current) if current else math.inf
    usage_milli = math.ceil(answer / current) if current else answer
    target = f"{shown(metric.target_milli)} per pod"
    start = f"{metric.name}: {shown(answer)} in total / {target}"
    if tolerance.holds(ratio):
        why = f"{start} x {current} = {ratio:.2f}, {_within(tolerance)} -> stays at {current}"
        return Proposal(metric.name, current, usage_milli, why)
    replicas = _ceil(answer / metric.target_milli)
    return Proposal(metric.name, replicas, usage_milli, f"{start} -> {replicas}")


def _from_value(
    metric: ValueMetric, answer: int, pods: Sequence[Member], current: int, tolerance: Tolerance
) -> Proposal | Invalid:
    """The rule of Value for Object and External: the ratio times the pods that run and are ready.

    (GetObjectMetricReplicas and getUsageRatioReplicaCount of replica_calculator.go.)
    """
    ratio = answer / metric.target_milli
    start = f"{metric.name}: {shown(answer)} / {shown(metric.target_milli)} = {ratio:.2f}"
    if not current:
        replicas = _ceil(ratio)
        return Proposal(metric.name, replicas, answer, f"{start} -> {replicas}")
    if tolerance.holds(ratio):
        why = f"{start}, {_within(tolerance)} -> stays at {current}"
        return Proposal(metric.name, current, answer, why)
    if not pods:
        return Invalid(metric.name, f"{metric.name}: the selector matches no pods")
    ready = sum(pod.phase == "Running" and pod.ready for pod in pods)
    replicas = _ceil(ratio * ready)
    why = f"{start} x {ready} ready {_pods(ready)} -> {replicas}"
    return Proposal(metric.name, replicas, answer, why)


def _from_values(
    metric: PodsMetric | ResourceMetric,
    counted: dict[str, int],
    groups: Groups,
    current: int,
    tolerance: Tolerance,
) -> Proposal | Invalid:
    if isinstance(metric, ResourceMetric) and not sum(metric.requested(counted).values()):
        return Invalid(metric.name, f"{metric.name}: the pods with a value request none of it")
    usage_milli, ratio = _average(metric, counted)
    start = f"{metric.name}: {_compared(metric, usage_milli, ratio)} = {ratio:.2f}"
    rising_with_unready = bool(groups.unready) and ratio > 1.0
    if rising_with_unready or groups.missing:
        added, words = _stand_ins(groups, ratio, metric)
        replicas, end = _second_pass(metric, counted | added, ratio, current, tolerance)
        put_in = f"; {words}{end}" if words else end.removeprefix(f" = {ratio:.2f}")
        return Proposal(metric.name, replicas, usage_milli, f"{start}{put_in}")
    if tolerance.holds(ratio):
        why = f"{start}, {_within(tolerance)} -> stays at {current}"
        return Proposal(metric.name, current, usage_milli, why)
    replicas = _ceil(ratio * groups.ready)
    why = f"{start} x {groups.ready} {_pods(groups.ready)} -> {replicas}"
    return Proposal(metric.name, replicas, usage_milli, why)


def _compared(metric: PodsMetric | ResourceMetric, usage_milli: int, ratio: float) -> str:
    if isinstance(metric, ResourceMetric):
        percent = round(ratio * metric.target_percent)
        return f"{percent} % of the request / {metric.target_percent} %"
    return f"{shown(usage_milli)} per pod / {shown(metric.target_milli)}"


def _full(metric: PodsMetric | ResourceMetric, pods: Iterable[str]) -> dict[str, int]:
    """Return what silent pods count as on the way down: the target, or all that they request."""
    if isinstance(metric, ResourceMetric):
        percent = max(100, metric.target_percent)
        return {pod: milli * percent // 100 for pod, milli in metric.requested(pods).items()}
    return dict.fromkeys(pods, metric.target_milli)


def _stand_ins(
    groups: Groups, ratio: float, metric: PodsMetric | ResourceMetric
) -> tuple[dict[str, int], str]:
    """Return the values put in for pods that have none, and the words for it."""
    added: dict[str, int] = {}
    words = []
    if groups.missing and ratio != 1.0:
        added |= _full(metric, groups.missing) if ratio < 1.0 else dict.fromkeys(groups.missing, 0)
        figures = " or ".join(shown(milli) for milli in sorted(set(added.values())))
        words.append(f"{len(groups.missing)} without a value counted as {figures}")
    if groups.unready and ratio > 1.0:
        added |= dict.fromkeys(groups.unready, 0)
        words.append(f"{len(groups.unready)} pending counted as 0")
    return added, " and ".join(words)


def _second_pass(
    metric: PodsMetric | ResourceMetric,
    counted: dict[str, int],
    before: float,
    current: int,
    tolerance: Tolerance,
) -> tuple[int, str]:
    """Return the replicas with the stand-ins in; they may soften a change, never turn it."""
    _, ratio = _average(metric, counted)
    if tolerance.holds(ratio):
        return current, f" = {ratio:.2f}, {_within(tolerance)} -> stays at {current}"
    if (before < 1.0 < ratio) or (ratio < 1.0 < before):
        return current, f" = {ratio:.2f}, the other way -> stays at {current}"
    replicas = _ceil(ratio * len(counted))
    if (ratio < 1.0 and replicas > current) or (ratio > 1.0 and replicas < current):
        return current, f" = {ratio:.2f} x {len(counted)}, the other way -> stays at {current}"
    return replicas, f" = {ratio:.2f} x {len(counted)} {_pods(len(counted))} -> {replicas}"


def _average(metric: PodsMetric | ResourceMetric, counted: Mapping[str, int]) -> tuple[int, float]:
    """Return the mean (towards zero, as Go divides) and its ratio to the target."""
    if isinstance(metric, PodsMetric):
        usage_milli = _towards_zero(_int64(sum(counted.values())), len(counted))
        return usage_milli, usage_milli / metric.target_milli
    # A value of no pod of the workload is left out here, and in no other rule.
    requested = metric.requested(counted)
    total = _int64(sum(counted[pod] for pod in requested))
    # The utilisation is a whole percentage: 799m of 1 are 79.
    percent = _towards_zero(total * 100, sum(requested.values()))
    return _towards_zero(total, len(requested)), percent / metric.target_percent


def _towards_zero(value: int, by: int) -> int:
    magnitude = abs(value) // by
    return magnitude if value >= 0 else -magnitude


def _int64(value: int) -> int:
    """Return the value as a Go int64 sum would hold it: it wraps round."""
    return (value + 2**63) % 2**64 - 2**63


def _ceil(replicas: float) -> int:
    # Beyond an int32 Go leaves the result to the processor; here it stays at the largest.
    return min(math.ceil(replicas), MAX_INT32)


def shown(milli: int) -> str:
    """Return a milli-value as people write it: 12500 as 12.5."""
    sign = "-" if milli < 0 else ""
    whole, rest = divmod(abs(milli), 1000)
    return f"{sign}{whole}" + (f".{rest:03d}".rstrip("0") if rest else "")


def _within(tolerance: Tolerance) -> str:
    return f"within {1 - tolerance.down:g} to {1 + tolerance.up:g}"


def _pods(count: int) -> str:
    return "pod" if count == 1 else "pods"
