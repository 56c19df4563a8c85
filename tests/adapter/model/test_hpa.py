"""One sync after the other decides as the controller does, and says its arithmetic."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.hpa import Answer, Outcome, reconcile, tolerance_of
from adapter.model.hpa_behavior import History, Recommendation, ScaleEvent
from adapter.model.hpa_metric import Invalid, Member, Proposal, Tolerance
from adapter.model.hpa_policy import Behavior, Flags, PodsMetric, Policy, Rules, TotalMetric

PENDING = PodsMetric("pending", 5_000)
BUSY = PodsMetric("busy", 80_000)
POLICY = Policy("hpa", "Deployment/d", 1, 10, (PENDING, BUSY))


def pods(count: int) -> list[Member]:
    return [Member(f"pod-{n}") for n in range(count)]


def each(count: int, milli: int) -> dict[str, int]:
    return {f"pod-{n}": milli for n in range(count)}


def sync(
    current: int,
    *answers: Answer,
    policy: Policy = POLICY,
    history: History = History(),  # noqa: B008 - frozen
    now: float = 1_000.0,
    members: list[Member] | None = None,
) -> Outcome:
    return reconcile(
        policy,
        history,
        current=current,
        members=pods(current) if members is None else members,
        answers=answers,
        now=now,
    )


def test_the_highest_proposal_wins_and_the_arithmetic_is_said_in_words() -> None:
    found = sync(2, each(2, 12_500), each(2, 96_000))
    assert found.replicas == 4
    assert found.active == "ValidMetricFound"
    assert found.why == (
        "pending: 12.5 per pod / 5 = 2.50 x 2 pods -> 5",
        "busy: 96 per pod / 80 = 1.20 x 2 pods -> 3",
        "5 in one step is too many: at most max(2 x 2, 4) = 4",
    )
    assert [type(proposal) for proposal in found.proposals] == [Proposal, Proposal]


def test_a_metric_in_error_never_blocks_a_scale_up() -> None:
    found = sync(2, "no value", each(2, 100_000))
    assert (found.replicas, found.active) == (3, "ValidMetricFound")
    assert isinstance(found.proposals[0], Invalid)


def test_a_metric_in_error_lets_replicas_stay() -> None:
    found = sync(2, each(2, 5_000), "no value")
    assert (found.replicas, found.active) == (2, "ValidMetricFound")


def test_a_metric_in_error_blocks_every_scale_down() -> None:
    found = sync(4, "known for 1 of 4 pods", each(4, 1_000))
    assert (found.replicas, found.active) == (4, "FailedGetPodsMetric")
    assert found.why == (
        "pending: known for 1 of 4 pods",
        "busy: 1 per pod / 80 = 0.01 x 4 pods -> 1",
        "1 of 2 metrics without a value: no scale-down, stays at 4",
    )
    assert found.history.recommendations == (Recommendation(1_000, 4),)  # the initial one alone


def test_without_any_value_nothing_happens() -> None:
    found = sync(4, "down", "down")
    assert (found.replicas, found.active, found.able) == (4, "FailedGetPodsMetric", None)


def test_replicas_outside_of_the_range_are_brought_back_without_asking_a_metric() -> None:
    above = sync(14, "down", "down")
    assert (above.replicas, above.why) == (10, ("14 is above maxReplicas -> 10",))
    low = Policy("hpa", "Deployment/d", 3, 10, (PENDING,))
    below = sync(2, "down", policy=low)
    assert (below.replicas, below.why) == (3, ("2 is below minReplicas -> 3",))


def test_being_brought_back_counts_against_the_scaling_policies() -> None:
    rules = Policy("hpa", "Deployment/d", 3, 10, (PENDING,), Behavior())
    found = sync(1, "down", policy=rules)
    assert found.history.ups == (ScaleEvent(1_000, 2),)


def test_a_workload_at_zero_is_left_alone() -> None:
    found = sync(0, each(1, 9_000), each(1, 9_000), members=[])
    assert (found.replicas, found.active) == (0, "ScalingDisabled")


QUEUE = TotalMetric("queue", 5_000)
TO_ZERO = Policy("hpa", "Deployment/d", 0, 10, (QUEUE,))
IDLE = History((Recommendation(0.0, 1),))


def test_who_went_to_zero_by_itself_wakes_by_itself() -> None:
    asleep = sync(1, 0, policy=TO_ZERO, history=IDLE)
    assert (asleep.replicas, asleep.history.scaled_to_zero) == (0, True)
    still = sync(0, 0, policy=TO_ZERO, history=asleep.history, members=[])
    assert (still.replicas, still.active) == (0, "ValidMetricFound")
    awake = sync(0, 12_000, policy=TO_ZERO, history=still.history, members=[])
    assert (awake.replicas, awake.history.scaled_to_zero) == (3, False)


def test_who_was_sent_to_zero_by_somebody_else_stays_there() -> None:
    for known in (History(), History(scaled_to_zero=False)):
        found = sync(0, 12_000, policy=TO_ZERO, history=known, members=[])
        assert (found.replicas, found.active) == (0, "ScalingDisabled")


def test_a_raised_minimum_wakes_it_at_once() -> None:
    raised = msgspec.structs.replace(TO_ZERO, min_replicas=2, behavior=Behavior())
    found = sync(0, 0, policy=raised, history=History(scaled_to_zero=True), members=[])
    assert found.replicas == 2


def test_a_controller_that_just_started_does_not_scale_down_at_once() -> None:
    found = sync(6, each(6, 0), each(6, 0))
    assert found.replicas == 6
    assert found.able == "ScaleDownStabilized"


def test_the_tolerance_of_a_direction_comes_from_behavior_or_the_flag() -> None:
    rules = Behavior(up=Rules(Behavior().up.changes, tolerance_ratio=0.0, window_seconds=0))
    tight = Policy("hpa", "Deployment/d", 1, 10, (PENDING,), rules)
    assert tolerance_of(tight, Flags()) == Tolerance(down=0.1, up=0.0)
    assert tolerance_of(POLICY, Flags(tolerance_ratio=0.2)) == Tolerance(0.2, 0.2)
    assert sync(2, each(2, 5_001), policy=tight).replicas == 3


def test_a_rush_hour_goes_up_in_doublings_and_comes_down_after_five_quiet_minutes() -> None:
    """Every 15 s one sync; a rush of 200 requests from 60 s to 120 s, nothing after."""
    current, history, seen = 1, History(), []
    for tick in range(40):
        now = 15.0 * tick
        waiting = 200_000 if 60 <= now < 120 else 0
        answers = (each(current, waiting // current), each(current, 0))
        found = sync(current, *answers, history=history, now=now)
        current, history = found.replicas, found.history
        seen.append(current)
    assert seen[:9] == [1, 1, 1, 1, 4, 8, 10, 10, 10]
    last_rush = 105
    quiet_from = next(n for n, replicas in enumerate(seen) if n > 8 and replicas == 1)
    assert 15 * (quiet_from - 1) - last_rush <= 300 < 15 * quiet_from - last_rush + 1
    assert set(seen[quiet_from:]) == {1}
    assert len(history.recommendations) <= 22  # one per sync of the window, then reused


def test_with_behavior_the_way_down_follows_its_policies() -> None:
    down = Rules(Behavior().down.changes, window_seconds=0)
    gentle = Policy("hpa", "Deployment/d", 1, 10, (PENDING,), Behavior(down=down))
    current, history, seen = 9, History(), []
    for tick in range(3):
        answer = each(current, 2_500)
        found = sync(current, answer, policy=gentle, history=history, now=60.0 * tick)
        current, history = found.replicas, found.history
        seen.append(current)
    assert seen == [5, 3, 2]


ANSWERS = st.text("abc", max_size=3) | st.dictionaries(
    st.sampled_from([f"pod-{n}" for n in range(10)]), st.integers(0, 200_000), max_size=10
)


@given(st.lists(st.tuples(ANSWERS, ANSWERS), min_size=1, max_size=12), st.booleans())
def test_replicas_stay_within_the_range_whatever_the_answers_are(
    timeline: list[tuple[Answer, Answer]],
    with_behavior: bool,  # noqa: FBT001 - drawn
) -> None:
    rules = Policy(
        "h", "Deployment/d", 2, 7, (PENDING, BUSY), Behavior() if with_behavior else None
    )
    current, history = 3, History()
    for tick, answers in enumerate(timeline):
        found = sync(current, *answers, policy=rules, history=history, now=15.0 * tick)
        assert 2 <= found.replicas <= 7
        assert found.why
        current, history = found.replicas, found.history


@given(st.integers(1, 10), ANSWERS)
def test_with_one_metric_in_error_replicas_never_fall(current: int, answer: Answer) -> None:
    assert sync(current, "down", answer).replicas >= current
