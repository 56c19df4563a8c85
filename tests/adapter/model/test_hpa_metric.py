"""One metric's proposal follows the controller's rules for ready, pending and silent pods."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.hpa_metric import (
    Groups,
    Invalid,
    Member,
    Proposal,
    Tolerance,
    group,
    propose,
    shown,
)
from adapter.model.hpa_policy import PodsMetric

PENDING = PodsMetric("pending", 5_000)
TOLERANCE = Tolerance()


def running(*names: str) -> list[Member]:
    return [Member(name) for name in names]


def proposal(
    answer: dict[str, int] | str,
    members: list[Member],
    current: int,
    *,
    metric: PodsMetric = PENDING,
    tolerance: Tolerance = TOLERANCE,
) -> Proposal:
    found = propose(metric, answer, members, current, tolerance)
    assert isinstance(found, Proposal), found
    return found


def test_pods_are_grouped_in_the_controllers_order() -> None:
    members = [
        Member("going", "Running", terminating=True),
        Member("going-pending", "Pending", terminating=True),
        Member("failed", "Failed"),
        Member("starting", "Pending"),
        Member("silent", "Running"),
        Member("done", "Succeeded"),
        Member("serving", "Running"),
        Member("lost", "Unknown"),
    ]
    values = dict.fromkeys(("going", "failed", "starting", "serving", "lost"), 1)
    assert group(members, values) == Groups(
        ready=2,
        unready=frozenset({"starting"}),
        missing=frozenset({"silent", "done"}),
        ignored=frozenset({"going", "going-pending", "failed"}),
    )


def test_a_full_answer_scales_by_the_ratio_and_says_so_in_words() -> None:
    found = proposal({"a": 10_000, "b": 15_000}, running("a", "b"), 2)
    assert found.replicas == 5
    assert found.usage_milli == 12_500
    assert found.why == "pending: 12.5 per pod / 5 = 2.50 x 2 pods -> 5"


def test_a_running_pod_counts_whether_it_is_ready_or_not() -> None:
    # Eight busy pods with twenty waiting requests at a target of five ask for four.
    values = dict.fromkeys("abcdefgh", 2_500)
    assert proposal(values, running(*"abcdefgh"), 8).replicas == 4


@pytest.mark.parametrize(
    ("milli", "replicas"),
    [
        (4_500, 4),  # 0.9 is within
        (4_499, 4),  # 0.8998 x 4 = 3.6, rounded up: no change either
        (3_700, 3),
        (5_500, 4),  # 1.1 is within
        (5_501, 5),
        (5_000, 4),
        (0, 0),
    ],
)
def test_a_ratio_within_a_tenth_of_one_changes_nothing(milli: int, replicas: int) -> None:
    assert proposal(dict.fromkeys("abcd", milli), running(*"abcd"), 4).replicas == replicas


def test_the_tolerance_of_each_direction_is_its_own() -> None:
    narrow = Tolerance(down=0.0, up=0.0)
    assert proposal({"a": 5_001}, running("a"), 1, tolerance=narrow).replicas == 2
    assert proposal({"a": 5_001}, running("a"), 1, tolerance=Tolerance(0.0, 0.1)).replicas == 1
    one_down = proposal(dict.fromkeys("abc", 2_500), running(*"abc"), 3, tolerance=narrow)
    assert one_down.replicas == 2
    wide = Tolerance(down=0.5, up=0.0)
    assert proposal(dict.fromkeys("abc", 2_500), running(*"abc"), 3, tolerance=wide).replicas == 3


def test_the_average_is_cut_to_whole_thousandths_before_the_ratio() -> None:
    # 5.5 + 5.5 + 5.502 = 16.502; / 3 = 5.50066.. -> 5.500: within 1.1
    values = {"a": 5_500, "b": 5_500, "c": 5_502}
    found = proposal(values, running(*"abc"), 3)
    assert (found.usage_milli, found.replicas) == (5_500, 3)


def test_a_negative_average_is_cut_towards_zero() -> None:
    assert proposal({"a": -3, "b": 0}, running("a", "b"), 2).usage_milli == -1


def test_a_missing_pod_counts_as_nothing_on_the_way_up() -> None:
    found = proposal({"a": 10_000, "b": 10_000}, running("a", "b", "new"), 3)
    assert found.replicas == 4  # 20 / 3 = 6.666 / 5 = 1.33 x 3
    assert found.why == (
        "pending: 10 per pod / 5 = 2.00; 1 without a value counted as 0 = 1.33 x 3 pods -> 4"
    )


def test_a_missing_pod_counts_as_its_target_on_the_way_down() -> None:
    found = proposal({"a": 1_000, "b": 1_000}, running("a", "b", "silent"), 3)
    assert found.replicas == 2  # (1 + 1 + 5) / 3 = 2.333 / 5 = 0.47 x 3
    assert "1 without a value counted as 5" in found.why


def test_a_missing_pod_adds_nothing_when_the_others_are_exactly_on_target() -> None:
    found = proposal({"a": 5_000}, running("a", "silent"), 2)
    assert found.why == "pending: 5 per pod / 5 = 1.00, within 0.9 to 1.1 -> stays at 2"
    assert found.replicas == 2
    assert "stays at 2" in found.why


def test_a_pending_pod_holds_a_further_scale_up_back() -> None:
    members = [*running("a"), Member("new", "Pending")]
    found = proposal({"a": 20_000}, members, 2)
    assert found.replicas == 4  # (20 + 0) / 2 = 10 / 5 = 2 x 2
    assert "1 pending counted as 0" in found.why


def test_a_pending_pod_plays_no_part_on_the_way_down() -> None:
    members = [*running("a", "b"), Member("new", "Pending")]
    assert proposal({"a": 1_000, "b": 1_000}, members, 3).replicas == 1


def test_a_value_of_a_pending_pod_is_put_aside() -> None:
    members = [*running("a"), Member("new", "Pending")]
    assert proposal({"a": 5_000, "new": 90_000}, members, 2).usage_milli == 5_000


def test_a_pod_that_is_going_does_not_count_at_all() -> None:
    members = [*running("a"), Member("old", terminating=True)]
    assert proposal({"a": 10_000, "old": 50_000}, members, 1).replicas == 2


def test_stand_ins_never_turn_the_direction() -> None:
    # 6 / 5 asks for more; with three silent pods as 0 it would be 0.3, a scale-down.
    found = proposal({"a": 6_000}, running("a", "b", "c", "d"), 4)
    assert found.replicas == 4
    assert "the other way" in found.why


def test_stand_ins_never_turn_the_direction_by_their_number() -> None:
    # Five pods are counted although the object has been set to eight in between.
    members = running("a", "b", "c", "d", "e")
    values = dict.fromkeys("abcd", 9_000)
    found = proposal(values, members, 9)
    assert found.replicas == 9  # 36 / 5 = 7.2 / 5 = 1.44 x 5 = 8 < 9
    assert "the other way" in found.why


def test_a_value_under_a_foreign_name_counts_like_any_other() -> None:
    assert proposal({"a": 5_000, "stranger": 25_000}, running("a"), 1).usage_milli == 15_000


@pytest.mark.parametrize(
    ("answer", "members", "words"),
    [
        ("known for 1 of 4 pods", running("a"), "known for 1 of 4 pods"),
        ({}, running("a"), "has no values"),
        ({"a": 1}, [], "matches no pods"),
        ({"a": 1}, [Member("a", "Pending")], "pending or ending"),
    ],
)
def test_no_usable_value_is_an_invalid_metric_that_says_why(
    answer: dict[str, int] | str, members: list[Member], words: str
) -> None:
    found = propose(PENDING, answer, members, 1, TOLERANCE)
    assert isinstance(found, Invalid)
    assert words in found.why


def test_a_sum_beyond_64_bits_wraps_as_it_does_in_go() -> None:
    values = {"a": 2**63 - 1, "b": 2**63 - 1}
    assert proposal(values, running("a", "b"), 2).usage_milli == -1


@pytest.mark.parametrize(
    ("milli", "text"), [(0, "0"), (5_000, "5"), (12_500, "12.5"), (1, "0.001"), (-1_250, "-1.25")]
)
def test_milli_values_are_written_as_people_write_them(milli: int, text: str) -> None:
    assert shown(milli) == text


NAMES = [f"pod-{n}" for n in range(12)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, int], list[Member], int, int]:
    count = draw(st.integers(1, len(NAMES)))
    phases = st.sampled_from(["Running", "Running", "Running", "Pending", "Failed", "Succeeded"])
    members = [
        Member(name, draw(phases), draw(st.booleans()) and draw(st.booleans()))
        for name in NAMES[:count]
    ]
    silent = draw(st.sets(st.sampled_from(NAMES), max_size=4))
    values = {
        member.name: draw(st.integers(0, 60_000)) for member in members if member.name not in silent
    }
    return values, members, draw(st.integers(1, 12)), draw(st.integers(1_000, 100_000))


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_pods_and_values_does_not_matter(
    case: tuple[dict[str, int], list[Member], int, int], shuffle: random.Random
) -> None:
    values, members, current, target = case
    metric = PodsMetric("m", target)
    first = propose(metric, values, members, current, TOLERANCE)
    shuffle.shuffle(members)
    mixed = list(values.items())
    shuffle.shuffle(mixed)
    assert propose(metric, dict(mixed), members, current, TOLERANCE) == first


@given(cases())
def test_silent_pods_are_never_scaled_away(
    case: tuple[dict[str, int], list[Member], int, int],
) -> None:
    values, members, current, target = case
    found = propose(PodsMetric("m", target), values, members, current, TOLERANCE)
    missing = group(members, values).missing
    if isinstance(found, Proposal):
        assert found.replicas >= min(current, len(missing))


@given(cases())
def test_a_silent_pod_never_asks_for_more_than_its_value_at_target_would(
    case: tuple[dict[str, int], list[Member], int, int],
) -> None:
    values, members, current, target = case
    metric = PodsMetric("m", target)
    missing = group(members, values).missing
    found = propose(metric, values, members, current, TOLERANCE)
    known = propose(metric, values | dict.fromkeys(missing, target), members, current, TOLERANCE)
    if isinstance(found, Proposal) and isinstance(known, Proposal):
        assert found.replicas <= max(known.replicas, current)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12), st.integers(1_000, 10**5))
def test_with_every_pod_known_the_proposal_meets_the_target(millis: list[int], target: int) -> None:
    names = [f"p{n}" for n in range(len(millis))]
    found = proposal(
        dict(zip(names, millis, strict=True)),
        running(*names),
        len(names),
        metric=PodsMetric("m", target),
        tolerance=Tolerance(0.0, 0.0),
    )
    # The average is cut to whole thousandths: the sum of the cuts is below one per pod. The ratio
    # is a float, so a figure that fits exactly may be rounded up to one more, as in Go.
    needed = math.ceil((sum(millis) - len(names)) / target)
    assert needed <= found.replicas <= math.ceil(sum(millis) / target + 1e-9)
