"""What the metrics ask for is stabilised, rate-limited and clamped as the controller does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.hpa_behavior import (
    History,
    Normalised,
    Recommendation,
    ScaleEvent,
    begun,
    normalise,
    scaled,
)
from adapter.model.hpa_policy import (
    SCALE_DOWN,
    Behavior,
    Change,
    ChangeType,
    Policy,
    Rules,
    SelectPolicy,
)


def policy(behavior: Behavior | None = None, lowest: int = 1, highest: int = 100) -> Policy:
    return Policy("hpa", "Deployment/d", lowest, highest, (), behavior)


def step(
    rules: Policy,
    current: int,
    wanted: int,
    history: History = History(),  # noqa: B008 - frozen
    *,
    now: float = 1_000.0,
    flag: float = 300.0,
) -> Normalised:
    return normalise(
        rules, history, current=current, wanted=wanted, downscale_window_seconds=flag, now=now
    )


def wishes(*pairs: tuple[float, int]) -> History:
    return History(tuple(Recommendation(at, replicas) for at, replicas in pairs))


class TestWithoutBehavior:
    def test_a_scale_up_within_reach_happens_at_once(self) -> None:
        found = step(policy(), 3, 6)
        assert found.replicas == 6
        assert (found.able, found.limited) == ("ReadyForNewScale", "DesiredWithinRange")
        assert found.why == ()

    @pytest.mark.parametrize(("current", "allowed"), [(1, 4), (2, 4), (3, 6), (10, 20)])
    def test_one_step_doubles_or_goes_to_four(self, current: int, allowed: int) -> None:
        found = step(policy(), current, 99)
        assert (found.replicas, found.limited) == (allowed, "ScaleUpLimit")

    def test_max_replicas_is_the_end(self) -> None:
        found = step(policy(highest=5), 4, 99)
        assert (found.replicas, found.limited) == (5, "TooManyReplicas")
        assert found.why == ("maxReplicas 5 holds against 99",)

    def test_min_replicas_is_the_floor(self) -> None:
        found = step(policy(lowest=2), 4, 0)
        assert (found.replicas, found.limited) == (2, "TooFewReplicas")

    def test_the_highest_wish_of_the_last_five_minutes_holds(self) -> None:
        found = step(policy(), 8, 2, wishes((650, 9), (701, 7), (900, 4)))
        assert (found.replicas, found.able) == (7, "ScaleDownStabilized")
        assert found.why == ("7, the highest wish of the last 300 s, holds against 2",)

    def test_a_wish_at_exactly_the_edge_of_the_window_still_holds(self) -> None:
        assert step(policy(), 8, 2, wishes((700, 7))).replicas == 7

    def test_another_window_can_be_given(self) -> None:
        assert step(policy(), 8, 2, wishes((900, 7)), flag=60).replicas == 2

    def test_the_wish_is_remembered_before_any_limit(self) -> None:
        found = step(policy(highest=5), 4, 99)
        assert found.history.recommendations == (Recommendation(1_000, 99),)

    def test_one_expired_wish_makes_room_for_the_new_one(self) -> None:
        found = step(policy(), 3, 3, wishes((100, 9), (200, 8), (900, 4)))
        assert found.history == wishes((100, 9), (1_000, 3), (900, 4))

    def test_no_scale_event_is_remembered(self) -> None:
        assert scaled(policy(), History(), 1, 5, 10.0) == History(scaled_to_zero=False)


WINDOWED = Behavior(
    up=Rules((Change(ChangeType.PODS, 100, 15),), window_seconds=60),
    down=Rules((Change(ChangeType.PERCENT, 100, 15),), window_seconds=120),
)


class TestStabilisationWithBehavior:
    def test_a_scale_up_waits_until_the_whole_window_wants_it(self) -> None:
        found = step(policy(WINDOWED), 4, 9, wishes((950, 4)))
        assert (found.replicas, found.able) == (4, "ScaleUpStabilized")
        assert step(policy(WINDOWED), 4, 9, wishes((950, 7))).replicas == 7
        assert step(policy(WINDOWED), 4, 9, wishes((930, 4))).replicas == 9

    def test_a_scale_down_waits_until_the_whole_window_wants_it(self) -> None:
        found = step(policy(WINDOWED), 9, 2, wishes((890, 8)))
        assert (found.replicas, found.able) == (8, "ScaleDownStabilized")
        assert step(policy(WINDOWED), 9, 2, wishes((870, 8))).replicas == 2

    def test_a_wish_at_exactly_the_edge_of_the_window_is_out(self) -> None:
        assert step(policy(WINDOWED), 9, 2, wishes((880, 8))).replicas == 2
        assert step(policy(WINDOWED), 4, 9, wishes((940, 4))).replicas == 9

    def test_the_controllers_flag_is_the_down_window_that_is_not_given(self) -> None:
        rules = policy(Behavior())
        assert step(rules, 9, 8, wishes((701, 9))).replicas == 9
        assert step(rules, 9, 8, wishes((701, 9)), flag=200).replicas == 8

    def test_a_down_window_of_zero_scales_down_at_once(self) -> None:
        down = Rules(SCALE_DOWN.changes, window_seconds=0)
        assert step(policy(Behavior(down=down)), 9, 2, wishes((999.5, 9))).replicas == 2

    def test_a_wish_is_replaced_only_when_both_windows_are_over(self) -> None:
        found = step(policy(WINDOWED), 4, 4, wishes((870, 4), (930, 4)))
        assert found.history == wishes((1_000, 4), (930, 4))
        kept = step(policy(WINDOWED), 4, 4, wishes((890, 4), (930, 4)))
        assert kept.history == wishes((890, 4), (930, 4), (1_000, 4))


def events(*pairs: tuple[float, int]) -> tuple[ScaleEvent, ...]:
    return tuple(ScaleEvent(at, change) for at, change in pairs)


def up(*changes: Change, select: SelectPolicy = SelectPolicy.MAX) -> Policy:
    return policy(Behavior(up=Rules(changes, select, window_seconds=0)))


def down(*changes: Change, select: SelectPolicy = SelectPolicy.MAX) -> Policy:
    return policy(Behavior(down=Rules(changes, select, window_seconds=0)))


PODS_2 = Change(ChangeType.PODS, 2, 60)
PERCENT_50 = Change(ChangeType.PERCENT, 50, 60)


class TestRateWithBehavior:
    def test_the_default_behavior_doubles_or_adds_four(self) -> None:
        assert step(policy(Behavior()), 1, 50).replicas == 5
        assert step(policy(Behavior()), 10, 50).replicas == 20
        assert step(policy(Behavior()), 10, 50).limited == "ScaleUpLimit"

    @pytest.mark.parametrize(
        ("rules", "current", "allowed"),
        [
            (up(PODS_2), 9, 11),
            (up(PERCENT_50), 9, 14),  # 13.5 rounded up
            (up(Change(ChangeType.PERCENT, 10, 60)), 1, 2),  # 1.1 rounded up: growth is possible
            (up(PODS_2, PERCENT_50), 9, 14),
            (up(PODS_2, PERCENT_50, select=SelectPolicy.MIN), 9, 11),
            (up(PODS_2, select=SelectPolicy.DISABLED), 9, 9),
        ],
    )
    def test_scale_up_policies_limit_the_step(
        self, rules: Policy, current: int, allowed: int
    ) -> None:
        found = step(rules, current, 90)
        assert (found.replicas, found.limited) == (allowed, "ScaleUpLimit")

    @pytest.mark.parametrize(
        ("rules", "current", "allowed"),
        [
            (down(PODS_2), 9, 7),
            (down(PERCENT_50), 9, 4),  # 4.5 cut
            (down(PODS_2, PERCENT_50), 9, 4),
            (down(PODS_2, PERCENT_50, select=SelectPolicy.MIN), 9, 7),
            (down(PODS_2, select=SelectPolicy.DISABLED), 9, 9),
        ],
    )
    def test_scale_down_policies_limit_the_step(
        self, rules: Policy, current: int, allowed: int
    ) -> None:
        found = step(rules, current, 0)
        assert (found.replicas, found.limited) == (allowed, "ScaleDownLimit")

    def test_what_was_added_in_the_period_counts_against_the_policy(self) -> None:
        history = History(ups=events((930, 5), (950, 1)))
        assert step(up(PODS_2), 9, 50, history).replicas == 10  # 9 - 1 + 2

    def test_what_was_removed_in_the_period_may_come_back(self) -> None:
        history = History(downs=events((950, 3)))
        assert step(up(PODS_2), 9, 50, history).replicas == 14  # 9 + 3 + 2

    def test_an_event_at_exactly_the_edge_of_the_period_is_out(self) -> None:
        assert step(up(PODS_2), 9, 50, History(ups=events((940, 5)))).replicas == 11

    def test_a_period_that_is_used_up_never_turns_the_direction(self) -> None:
        history = History(ups=events((950, 5)))
        assert step(up(PODS_2), 9, 50, history).replicas == 9
        history = History(downs=events((950, 5)))
        assert step(down(PODS_2), 9, 0, history).replicas == 9

    def test_max_and_min_replicas_stand_behind_the_policies(self) -> None:
        generous = Behavior(up=Rules((Change(ChangeType.PODS, 50, 60),), window_seconds=0))
        found = step(policy(generous, highest=12), 9, 50)
        assert (found.replicas, found.limited) == (12, "TooManyReplicas")
        at_once = Behavior(down=Rules(SCALE_DOWN.changes, window_seconds=0))
        found = step(policy(at_once, lowest=3), 9, 0)
        assert (found.replicas, found.limited) == (3, "TooFewReplicas")


class TestScaleEvents:
    policy = policy(Behavior(up=Rules((PODS_2, Change(ChangeType.PODS, 1, 600)))))

    def test_each_direction_is_remembered_as_a_positive_change(self) -> None:
        history = scaled(self.policy, History(), 2, 5, 10.0)
        history = scaled(self.policy, history, 5, 4, 20.0)
        assert (history.ups, history.downs) == (events((10, 3)), events((20, 1)))

    def test_no_change_is_no_event(self) -> None:
        assert scaled(self.policy, History(), 3, 3, 10.0) == History()

    def test_an_event_older_than_the_longest_period_makes_room(self) -> None:
        history = History(ups=events((0, 1), (100, 2), (900, 3)))
        assert scaled(self.policy, history, 1, 5, 1_000.0).ups == events(
            (0, 1), (1_000, 4), (900, 3)
        )
        kept = History(ups=events((450, 1)))
        assert scaled(self.policy, kept, 1, 5, 1_000.0).ups == events((450, 1), (1_000, 4))


def test_a_history_begins_once_with_things_as_they_are() -> None:
    first = begun(History(), 3, 5.0)
    assert first == wishes((5, 3))
    assert begun(first, 9, 50.0) == first


CHANGES = st.builds(Change, st.sampled_from(ChangeType), st.integers(1, 200), st.integers(1, 1_800))
RULES = st.builds(
    Rules,
    st.lists(CHANGES, min_size=1, max_size=3).map(tuple),
    st.sampled_from(SelectPolicy),
    st.integers(0, 3_600),
)
BEHAVIOR = st.none() | st.builds(Behavior, RULES, RULES)
TIMES = st.floats(0, 1_000)
HISTORY = st.builds(
    History,
    st.lists(st.builds(Recommendation, TIMES, st.integers(0, 40)), max_size=8).map(tuple),
    st.lists(st.builds(ScaleEvent, TIMES, st.integers(1, 9)), max_size=5).map(tuple),
    st.lists(st.builds(ScaleEvent, TIMES, st.integers(1, 9)), max_size=5).map(tuple),
)


@given(BEHAVIOR, HISTORY, st.integers(1, 20), st.integers(0, 500), st.integers(1, 20))
def test_the_result_is_always_between_min_and_max_and_memory_is_bounded(
    behavior: Behavior | None, history: History, current: int, wanted: int, lowest: int
) -> None:
    highest = 20
    current = max(current, lowest)
    found = step(policy(behavior, lowest, highest), current, wanted, history)
    assert lowest <= found.replicas <= highest
    assert len(found.history.recommendations) <= len(history.recommendations) + 1
    assert Recommendation(1_000, wanted) in found.history.recommendations


@given(BEHAVIOR, HISTORY, st.integers(1, 20), st.integers(0, 500))
def test_a_limit_that_changed_the_figure_always_says_so(
    behavior: Behavior | None, history: History, current: int, wanted: int
) -> None:
    found = step(policy(behavior, 1, 20), current, wanted, history)
    assert bool(found.why) == (
        found.able != "ReadyForNewScale" or found.limited != "DesiredWithinRange"
    )
    if not found.why:
        assert found.replicas == wanted


@given(HISTORY, st.integers(1, 20), st.integers(0, 500))
def test_with_behavior_a_single_step_moves_towards_the_wish_or_not_at_all(
    history: History, current: int, wanted: int
) -> None:
    found = step(policy(Behavior(), 1, 20), current, wanted, history)
    low, high = sorted((current, min(max(wanted, 1), 20)))
    assert low <= found.replicas <= high
