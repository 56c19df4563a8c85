"""Our HPA decides as the real controller's own code does, case by case."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from adapter.model.hpa import Answer, Outcome, reconcile
from adapter.model.hpa_behavior import History, Recommendation, ScaleEvent, begun
from adapter.model.hpa_metric import Member, Proposal
from adapter.model.hpa_policy import Kind, parse
from tests.controlplane import build
from tests.e2e import hpacases

CASES = int(os.environ.get("ORACLE_CASES", "20000"))  # `make fuzz` has 100,000
NOW = 100_000.0
LARGEST_MILLI = 2**53  # no figure of a case comes near; a division by no replicas does


@pytest.fixture(autouse=True)
def _components_live() -> None:
    """The oracle is one program of its own: no component of a control plane is needed."""


def decisions(cases: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what the real controller decides."""
    try:
        oracle = build.binary("oracle")
    except build.BuildError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    lines = "\n".join(json.dumps(case) for case in cases)
    done = subprocess.run(
        [oracle], input=lines, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def decided(case: Mapping[str, Any]) -> Outcome:
    """Return what our replica decides."""
    policy = parse(case["hpa"], tuple(Kind), values=True)
    history = History(
        tuple(
            Recommendation(NOW - e["age_seconds"], e["replicas"]) for e in case["recommendations"]
        ),
        tuple(ScaleEvent(NOW - e["age_seconds"], e["replicas"]) for e in case["ups"]),
        tuple(ScaleEvent(NOW - e["age_seconds"], e["replicas"]) for e in case["downs"]),
        case["scaled_to_zero"],
    )
    return reconcile(
        policy,
        # The controller takes its first note a moment before it looks at the clock again.
        begun(history, case["current"], NOW - 1e-6),
        current=case["current"],
        members=[Member(p["name"], p["phase"], p["terminating"], p["ready"]) for p in case["pods"]],
        answers=[_answer(case["answers"][metric.name]) for metric in policy.metrics],
        now=NOW,
    )


def _answer(raw: Mapping[str, Any]) -> Answer:
    if "total" in raw:
        return int(raw["total"])
    return raw["error"] if "error" in raw else raw["values"]


def _aged(entries: Sequence[Recommendation] | Sequence[ScaleEvent]) -> list[tuple[float, int]]:
    return [
        (round(NOW - e.at, 1), e.replicas if isinstance(e, Recommendation) else e.change)
        for e in entries
    ]


def ours(case: Mapping[str, Any]) -> dict[str, Any]:
    found = decided(case)
    return {
        "replicas": found.replicas,
        "active": found.active,
        # A change of replicas overwrites the condition that the limits had set.
        "able": found.able if found.replicas == case["current"] else "SucceededRescale",
        "limited": found.limited,
        "usages": {
            p.metric: p.usage_milli
            for p in found.proposals
            if isinstance(p, Proposal) and not _is_infinite(p, case)
        },
        "zero": {None: None, True: "ScaledToZero", False: "NotScaledToZero"}[
            None if found.replicas == case["current"] else found.history.scaled_to_zero
        ],
        "recommendations": _aged(found.history.recommendations),
        "ups": _aged(found.history.ups),
        "downs": _aged(found.history.downs),
    }


def _is_infinite(proposal: Proposal, case: Mapping[str, Any]) -> bool:
    """Whether Go divides by no replicas: what it shows of that average is left to the processor."""
    (metric,) = (
        one for one in case["hpa"]["spec"]["metrics"] if hpacases.name_of(one) == proposal.metric
    )
    source = metric.get("object") or metric.get("external")
    return not case["current"] and source and source["target"]["type"] == "AverageValue"


def theirs(decision: Mapping[str, Any]) -> dict[str, Any]:
    reasons = decision["reasons"]
    able, zero = reasons.get("AbleToScale"), reasons.get("ScaledToZero")
    return {
        "replicas": decision["replicas"],
        "active": reasons.get("ScalingActive"),
        "able": None if able == "SucceededGetScale" else able,
        "limited": reasons.get("ScalingLimited"),
        "usages": {
            name: milli for name, milli in decision["usages"].items() if abs(milli) < LARGEST_MILLI
        },
        "zero": None if zero in (None, "Before") else zero,
        **{
            name: [(round(e["age_seconds"], 1), e["replicas"]) for e in decision[name]]
            for name in ("recommendations", "ups", "downs")
        },
    }


def test_generated_syncs_end_as_in_the_real_controller() -> None:
    dice = random.Random(1)  # noqa: S311 - the same cases in every run
    cases = [hpacases.draw(dice) for _ in range(CASES)]
    real = [theirs(decision) for decision in decisions(cases)]
    assert len(real) == CASES
    seen: Counter[str] = Counter()
    for case, wanted in zip(cases, real, strict=True):
        assert ours(case) == wanted, json.dumps(case)
        seen.update({f"active {wanted['active']}", f"limited {wanted['limited']}"})
        seen.update({f"able {wanted['able']}", f"zero {wanted['zero']}"})
        seen.update({"woken"} if not case["current"] and wanted["replicas"] else {})
    # Cases that miss a rule would prove nothing about it.
    for reason in (
        "active ValidMetricFound",
        "active FailedGetPodsMetric",
        "active FailedGetObjectMetric",
        "active FailedGetExternalMetric",
        "active FailedGetResourceMetric",
        "active FailedGetContainerResourceMetric",
        "active ScalingDisabled",
        "zero ScaledToZero",
        "zero NotScaledToZero",
        "woken",
        "able SucceededRescale",
        "able ReadyForNewScale",
        "able ScaleDownStabilized",
        "able ScaleUpStabilized",
        "limited DesiredWithinRange",
        "limited ScaleUpLimit",
        "limited ScaleDownLimit",
        "limited TooManyReplicas",
        "limited TooFewReplicas",
    ):
        assert seen[reason] >= 20, (reason, seen)
