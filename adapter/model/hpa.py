"""The HPA: one sync of the HorizontalPodAutoscaler controller of Kubernetes 1.37, as a function.

    policy, history, pods, answers, now -> replicas, history, and the arithmetic in words

Its rules hold for metrics of every type: Pods, Object and External, Resource and ContainerResource
(but for cpu, which has a rule of its own for pods that start). Time and memory come in and go out
as values, so the same code drives the demo, replays a trace and is compared with the real
controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from adapter.model import hpa_behavior
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Invalid, Member, Proposal, Tolerance, propose
from adapter.model.hpa_policy import Flags, Policy

# Milli-values by pod name, one milli-value for a total, or the error in words.
Answer = Mapping[str, int] | int | str

DEFAULT_FLAGS = Flags()


class Outcome(msgspec.Struct, frozen=True):
    """What one sync decided. `replicas` is the current figure where nothing is to change.

    `active`, `able` and `limited` are the reasons of the conditions ScalingActive, AbleToScale and
    ScalingLimited, None where this sync does not set them. `why` is the arithmetic, one sentence a
    step: each metric, then each limit that changed the figure.
    """

    replicas: int
    history: History
    why: tuple[str, ...]
    proposals: tuple[Proposal | Invalid, ...] = ()
    active: str | None = None
    able: str | None = None
    limited: str | None = None


def reconcile(
    policy: Policy,
    history: History,
    *,
    current: int,
    members: Iterable[Member],
    answers: Sequence[Answer],
    now: float,
    flags: Flags = DEFAULT_FLAGS,
) -> Outcome:
    """Return the outcome of one sync; `answers` has one entry per metric of the policy, in order.

    `current` is the scaled object's spec.replicas and the outcome is taken as applied: its history
    already knows of the scaling.
    """
    known = hpa_behavior.begun(history, current, now)
    if current == 0 and not _computes_at_zero(policy, history):
        off = "0 replicas: scaling is switched off, whoever set them"
        return Outcome(0, known, (off,), active="ScalingDisabled")
    if current and not policy.min_replicas <= current <= policy.max_replicas:
        return _into_range(policy, known, current, now)
    pods = tuple(members)
    tolerance = tolerance_of(policy, flags)
    proposals = tuple(
        propose(metric, answer, pods, current, tolerance)
        for metric, answer in zip(policy.metrics, answers, strict=True)
    )
    wanted = wanted_of(proposals, current)
    if isinstance(wanted, str):
        why = (*(proposal.why for proposal in proposals), wanted)
        return Outcome(current, known, why, proposals, active=_failure(policy, proposals))
    return _normalised(policy, known, current, wanted, proposals, now=now, flags=flags)


def _computes_at_zero(policy: Policy, history: History) -> bool:
    """Return whether metrics count without pods: where the HPA itself took the last one away.

    (shouldComputeMetricsForZeroReplicas of horizontal.go.)
    """
    return bool(history.scaled_to_zero) and (policy.min_replicas != 0 or policy.wakes)


def tolerance_of(policy: Policy, flags: Flags) -> Tolerance:
    """Return the tolerance of each direction: the controller's flag, or that of `behavior`."""
    default = flags.tolerance_ratio
    if policy.behavior is None:
        return Tolerance(default, default)
    down, up = policy.behavior.down.tolerance_ratio, policy.behavior.up.tolerance_ratio
    return Tolerance(default if down is None else down, default if up is None else up)


def _into_range(policy: Policy, history: History, current: int, now: float) -> Outcome:
    """Bring replicas that somebody set outside of min and max back; no metric is asked for it."""
    above = current > policy.max_replicas
    replicas = policy.max_replicas if above else policy.min_replicas
    words = "above maxReplicas" if above else "below minReplicas"
    after = hpa_behavior.scaled(policy, history, current, replicas, now)
    return Outcome(replicas, after, (f"{current} is {words} -> {replicas}",))


def wanted_of(proposals: Sequence[Proposal | Invalid], current: int) -> int | str:
    """Return the highest proposal, or the words why nothing may change.

    A metric in error blocks every scale-down, never a scale-up that another metric asks for.
    """
    valid = [p.replicas for p in proposals if isinstance(p, Proposal)]
    failed = len(proposals) - len(valid)
    if not valid:
        return f"no metric has a value -> stays at {current}"
    if failed and max(valid) < current:
        blind = f"{failed} of {len(proposals)} metrics without a value"
        return f"{blind}: no scale-down, stays at {current}"
    return max(valid)


def _failure(policy: Policy, proposals: Sequence[Proposal | Invalid]) -> str:
    """Return the condition's reason: that of the first metric without a proposal."""
    failed = [isinstance(proposal, Invalid) for proposal in proposals]
    return f"FailedGet{policy.metrics[failed.index(True)].kind}Metric"


def _normalised(
    policy: Policy,
    history: History,
    current: int,
    wanted: int,
    proposals: tuple[Proposal | Invalid, ...],
    *,
    now: float,
    flags: Flags,
) -> Outcome:
    result = hpa_behavior.normalise(
        policy,
        history,
        current=current,
        wanted=wanted,
        downscale_window_seconds=flags.downscale_window_seconds,
        now=now,
    )
    # Behavior's rules know no minReplicas on the way up.
    replicas = result.replicas if current else max(result.replicas, policy.min_replicas)
    return Outcome(
        replicas,
        hpa_behavior.scaled(policy, result.history, current, replicas, now),
        (*(proposal.why for proposal in proposals), *result.why),
        proposals,
        active="ValidMetricFound",
        able=result.able,
        limited=result.limited,
    )
