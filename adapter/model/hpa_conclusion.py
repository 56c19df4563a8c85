"""The conclusion: what an HPA asks for in all, and why, in one sentence.

    policy, proposals, replicas, the HPA's own status -> words

The figures say what the controller will make of them; what it remembers (past wishes, past
scalings) is in its memory alone, and shows in the conditions of its status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.model import hpa_behavior
from adapter.model.hpa import DEFAULT_FLAGS, wanted_of
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Invalid, Proposal
from adapter.model.hpa_policy import Policy

Json = Mapping[str, Any]
Proposals = Sequence[Proposal | Invalid]

_STABILIZED = ("ScaleDownStabilized", "ScaleUpStabilized")


def conclude(policy: Policy, proposals: Proposals, *, current: int, status: Json) -> str:
    """Return the sentence; `current` is the scaled object's spec.replicas.

    `policy` has the limits, `proposals` are of all metrics of the HPA, in its order.
    """
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    if current == 0 and _is(conditions, "ScalingActive", "ScalingDisabled"):
        return "the HPA asks for nothing, because somebody set 0 replicas: scaling is switched off"
    found = _computed(policy, proposals, current)
    if found is None:
        return f"the HPA stays at {current}, because {_standstill(policy, proposals)}"
    replicas, why = found
    desired = status.get("desiredReplicas", 0)
    if not conditions:
        return f"the HPA has not looked yet; it will ask for {replicas}, because {why}"
    if desired == replicas:
        return f"the HPA asks for {replicas}, because {why}"
    held = _held(policy, conditions)
    if held:
        return f"the HPA asks for {desired}, because {held}; by these figures {replicas}: {why}"
    last = f"the HPA asked for {desired} when it last looked"
    return f"{last}; by these figures it will ask for {replicas}, because {why}"


def _computed(policy: Policy, proposals: Proposals, current: int) -> tuple[int, str] | None:
    """Return what one sync makes of the proposals with nothing remembered, and why.

    None where it changes nothing, since metrics have no value.
    """
    if current > policy.max_replicas:
        return policy.max_replicas, f"maxReplicas is below the {current} that there are"
    if 0 < current < policy.min_replicas:
        return policy.min_replicas, f"minReplicas is above the {current} that there are"
    wanted = wanted_of(proposals, current)
    if isinstance(wanted, str):
        return None
    result = hpa_behavior.normalise(
        policy,
        History(),
        current=current,
        wanted=wanted,
        downscale_window_seconds=DEFAULT_FLAGS.downscale_window_seconds,
        now=0.0,
    )
    return result.replicas, "; ".join((_winner(proposals), *result.why))


def _winner(proposals: Proposals) -> str:
    """Return the first of the highest proposals, and what was not among them."""
    valid = [one for one in proposals if isinstance(one, Proposal)]
    highest = max(valid, key=lambda one: one.replicas)
    words = f"{highest.metric} asks for {highest.replicas}"
    if len(valid) > 1:
        words += f", the most of {len(valid)} metrics"
    blind = _blind(proposals)
    return f"{words} ({blind}: that blocks a scale-down alone)" if blind else words


def _standstill(policy: Policy, proposals: Proposals) -> str:
    valid = [one for one in proposals if isinstance(one, Proposal)]
    if not valid:
        return "no metric has a value"
    lowest = max(policy.min_replicas, *(one.replicas for one in valid))
    return f"{_blind(proposals)}: no scale-down to {lowest}"


def _blind(proposals: Proposals) -> str:
    """Return the metrics without a value in words; empty where there are none."""
    names = [one.metric for one in proposals if isinstance(one, Invalid)]
    return f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no value" if names else ""


def _held(policy: Policy, conditions: Mapping[str, Json]) -> str:
    """Return why the controller itself says that it stands elsewhere; empty where it does not."""
    active, able = conditions.get("ScalingActive", {}), conditions.get("AbleToScale", {})
    limited = conditions.get("ScalingLimited", {})
    if able.get("status") == "False":
        return _words(able)
    if able.get("reason") in _STABILIZED:
        return _words(able) + _window(policy, able["reason"])
    if active.get("status") == "False":
        return _words(active)
    return _words(limited) if limited.get("status") == "True" else ""


def _window(policy: Policy, reason: str) -> str:
    """Return how far back wishes count, where the HPA says so and not a flag of the controller."""
    if policy.behavior is None:
        return ""
    rules = policy.behavior.down if reason == "ScaleDownStabilized" else policy.behavior.up
    seconds = rules.window_seconds
    return "" if seconds is None else f", by stabilizationWindowSeconds {seconds}"


def _words(condition: Json) -> str:
    return f"{condition.get('message', '')} ({condition.get('reason', '')})"


def _is(conditions: Mapping[str, Json], kind: str, reason: str) -> bool:
    return conditions.get(kind, {}).get("reason") == reason
