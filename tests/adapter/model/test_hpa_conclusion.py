"""What an HPA asks for in all is one sentence: the highest wish, what holds it, what is silent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.hpa import Outcome, reconcile
from adapter.model.hpa_behavior import History
from adapter.model.hpa_conclusion import conclude
from adapter.model.hpa_metric import Invalid, Member, Proposal
from adapter.model.hpa_policy import Behavior, Change, ChangeType, PodsMetric, Policy, Rules

Json = dict[str, Any]

POLICY = Policy("h", "Deployment/llm", 1, 10, ())
SLOW = Behavior(up=Rules((Change(ChangeType.PODS, 1, 60),), window_seconds=0))


def wish(metric: str, replicas: int) -> Proposal:
    return Proposal(metric, replicas, 0, "")


def blind(metric: str) -> Invalid:
    return Invalid(metric, "")


def status(desired: int, *conditions: tuple[str, str, str, str]) -> Json:
    usual = ("AbleToScale", "True", "ReadyForNewScale", "")
    told = [
        dict(zip(("type", "status", "reason", "message"), one, strict=True))
        for one in (usual, *conditions)
    ]
    return {"desiredReplicas": desired, "conditions": list({c["type"]: c for c in told}.values())}


RECENT = ("AbleToScale", "True", "ScaleDownStabilized", "recent recommendations were higher")
LIMIT = ("ScalingLimited", "True", "ScaleUpLimit", "the rate is limited")
FAILED = ("ScalingActive", "False", "FailedGetPodsMetric", "unable to get metric inflight")
GONE = ("AbleToScale", "False", "FailedGetScale", "no such Deployment")
SEVERAL = (wish("gpu", 3), wish("cpu", 1), wish("inflight", 5))


@pytest.mark.parametrize(
    ("proposals", "current", "shown", "wanted"),
    [
        ((wish("gpu", 3),), 2, status(3), "asks for 3, because gpu asks for 3"),
        (SEVERAL, 3, status(5), "asks for 5, because inflight asks for 5, the most of 3 metrics"),
        (
            (wish("gpu", 5), blind("inflight")),
            3,
            status(5),
            (
                "asks for 5, because gpu asks for 5 (inflight has no value:"
                " that blocks a scale-down alone)"
            ),
        ),
        (
            (blind("a"), wish("gpu", 0)),
            3,
            status(3),
            "stays at 3, because a has no value: no scale-down to 1",
        ),
        (
            (blind("a"), wish("gpu", 2), blind("b")),
            3,
            status(3),
            "stays at 3, because a, b have no value: no scale-down to 2",
        ),
        ((blind("a"),), 4, status(0, FAILED), "stays at 4, because no metric has a value"),
        (
            (wish("gpu", 14),),
            8,
            status(10),
            "asks for 10, because gpu asks for 14; maxReplicas 10 holds against 14",
        ),
        (
            (wish("gpu", 9),),
            2,
            status(4),
            (
                "asks for 4, because gpu asks for 9; 9 in one step is too many:"
                " at most max(2 x 2, 4) = 4"
            ),
        ),
        (
            SEVERAL,
            12,
            status(10),
            "asks for 10, because maxReplicas is below the 12 that there are",
        ),
        (
            (wish("gpu", 1),),
            4,
            status(4, RECENT),
            (
                "asks for 4, because recent recommendations were higher (ScaleDownStabilized);"
                " by these figures 1: gpu asks for 1"
            ),
        ),
        (
            (wish("gpu", 4),),
            3,
            status(3, LIMIT),
            (
                "asks for 3, because the rate is limited (ScaleUpLimit); by these figures 4:"
                " gpu asks for 4"
            ),
        ),
        (
            (wish("gpu", 4),),
            3,
            status(3, FAILED),
            (
                "asks for 3, because unable to get metric inflight (FailedGetPodsMetric);"
                " by these figures 4: gpu asks for 4"
            ),
        ),
        (
            (wish("gpu", 4),),
            3,
            status(3, FAILED, GONE),
            (
                "asks for 3, because no such Deployment (FailedGetScale); by these figures 4:"
                " gpu asks for 4"
            ),
        ),
        (
            (wish("gpu", 4),),
            3,
            status(3),
            (
                "asked for 3 when it last looked; by these figures it will ask for 4, because gpu"
                " asks for 4"
            ),
        ),
        (
            (wish("gpu", 2),),
            1,
            {"desiredReplicas": 0},
            "has not looked yet; it will ask for 2, because gpu asks for 2",
        ),
        ((wish("gpu", 2),), 0, status(2), "asks for 2, because gpu asks for 2"),
        (
            (wish("gpu", 2),),
            0,
            status(0, ("ScalingActive", "False", "ScalingDisabled", "")),
            "asks for nothing, because somebody set 0 replicas: scaling is switched off",
        ),
    ],
)
def test_one_sentence_says_how_many_and_why(
    proposals: tuple[Proposal | Invalid, ...], current: int, shown: Json, wanted: str
) -> None:
    found = conclude(POLICY, proposals, current=current, status=shown)
    assert found == f"the HPA {wanted}"


def test_behavior_and_minimum_hold_as_far_as_they_are_known_without_a_memory() -> None:
    slow = Policy("h", "Deployment/llm", 2, 10, (), SLOW)
    told = conclude(slow, (wish("gpu", 9),), current=3, status=status(4))
    assert told == (
        "the HPA asks for 4, because gpu asks for 9; behavior.scaleUp allows 4 now, not 9"
    )
    told = conclude(slow, (wish("gpu", 1),), current=3, status=status(2))
    assert told == "the HPA asks for 2, because gpu asks for 1; minReplicas 2 holds against 1"
    told = conclude(slow, (wish("gpu", 1),), current=1, status=status(2))
    assert told == "the HPA asks for 2, because minReplicas is above the 1 that there are"


def test_the_window_is_told_where_the_hpa_itself_says_it() -> None:
    down = Rules((Change(ChangeType.PERCENT, 100, 15),), window_seconds=120)
    patient = Policy("h", "Deployment/llm", 1, 10, (), Behavior(down=down))
    told = conclude(patient, (wish("gpu", 1),), current=4, status=status(4, RECENT))
    assert "(ScaleDownStabilized), by stabilizationWindowSeconds 120; by these figures 1" in told
    flag = Policy("h", "Deployment/llm", 1, 10, (), SLOW)
    told = conclude(flag, (wish("gpu", 1),), current=4, status=status(4, RECENT))
    assert "(ScaleDownStabilized); by these figures 1" in told


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=1, max_size=4),
    st.integers(1, 14),
    st.sampled_from([None, SLOW]),
)
def test_the_figure_is_the_controllers_own_at_its_first_look(
    wishes: list[int | None], current: int, behavior: Behavior | None
) -> None:
    """Against the replica of the whole sync, which is held against the real one."""
    metrics = tuple(PodsMetric(f"m{number}", 1000) for number in range(len(wishes)))
    policy = Policy("h", "Deployment/llm", 2, 10, metrics, behavior)
    members = [Member(f"pod-{n}") for n in range(current)]
    # Each pod says a share of the wish in whole pods: mean / 1 x pods is the wish.
    answers = [
        "no value" if one is None else {m.name: one * 1000 // current for m in members}
        for one in wishes
    ]
    outcome = reconcile(
        policy, History(), current=current, members=members, answers=answers, now=0.0
    )
    proposals = outcome.proposals or tuple(blind(metric.name) for metric in metrics)
    shown = status(outcome.replicas)
    told = conclude(policy, proposals, current=current, status=shown)
    remembered = outcome.able in ("ScaleDownStabilized", "ScaleUpStabilized")
    sure = f"the HPA {'asks for' if valid(outcome) else 'stays at'} {outcome.replicas}, because"
    assert remembered or told.startswith(sure)


def valid(outcome: Outcome) -> bool:
    """Whether it came to a figure; out of range, replicas are brought back without a metric."""
    return outcome.active in (None, "ValidMetricFound")
