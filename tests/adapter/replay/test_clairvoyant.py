"""Nobody undercuts the clairvoyant, and it is not far below what can be had."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.replay.answers import Chain
from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.play import play
from adapter.replay.pods import Pods
from adapter.replay.policies import POLICIES
from adapter.replay.score import score
from adapter.replay.seen import Seen
from tests.adapter.replay.worlds import trace, workload


class Plan:
    """Wants one given number of pods after the other, every 15 s."""

    period_seconds = 15.0

    def __init__(self, wanted: list[int]) -> None:
        self._wanted = wanted

    def decide(self, _seen: Seen, _pods: Pods, now: float) -> int:
        return self._wanted[int(now / 15.0) % len(self._wanted)]


def test_a_steady_load_costs_its_pods() -> None:
    """7/s at 2/s a pod: four pods for an hour, of which the last is needed by three quarters."""
    bound = Clairvoyant(trace([7.0] * 720), workload(600.0))
    assert bound.most == 4
    assert bound.gpu_seconds() / 3600 == pytest.approx(4.0, rel=0.04)


def test_a_share_of_late_requests_is_worth_what_its_pods_cost() -> None:
    bound = Clairvoyant(trace([7.0] * 720), workload(600.0))
    # Three pods alone leave more than a seventh late, since windows may serve 2 s into the next.
    assert 2.7 < bound.gpu_seconds(1 / 7) / 3600 < 3.0
    assert bound.gpu_seconds(1.0) / 3600 == pytest.approx(1.0, rel=0.04)  # minReplicas


def test_a_short_lull_is_waited_through_and_a_long_one_is_not() -> None:
    """Two rushes of half an hour with five pods, 300 s or an hour apart, cold start 600 s."""
    rush = [10.0] * 360
    short = Clairvoyant(trace([*rush, *[0.0] * 60, *rush]), workload(600.0))
    assert short.gpu_seconds() == pytest.approx(5 * 3900, rel=0.06)
    long = Clairvoyant(trace([*rush, *[0.0] * 720, *rush]), workload(600.0))
    assert long.gpu_seconds() == pytest.approx(5 * 3600 + 3600 + 4 * 600, rel=0.06)


def test_gaps_and_what_came_before_cost_nothing() -> None:
    gap = trace([8.0] * 720, unknown=range(360, 720))
    assert Clairvoyant(gap, workload(600.0)).gpu_seconds() == pytest.approx(4 * 1800, rel=0.08)
    late = Clairvoyant(trace([8.0] * 720), workload(600.0), first_step=360)
    assert late.gpu_seconds() == pytest.approx(4 * 1800, rel=0.08)


# Loads that jump between levels, with plans that are lucky now and then.
LOADS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 30)), min_size=1, max_size=12).map(
    lambda runs: [rate for rate, steps in runs for _ in range(steps)]
)
PLANS = st.lists(st.integers(1, 10), min_size=1, max_size=12)
COLD_STARTS = st.sampled_from([0.0, 5.0, 20.0, 60.0, 300.0])


@settings(max_examples=100)
@given(LOADS, PLANS, COLD_STARTS, st.integers(0, 20))
def test_no_plan_of_equal_punctuality_costs_less(
    rates: list[float], wanted: list[int], cold_seconds: float, first: int
) -> None:
    load, pods = trace(rates), workload(cold_seconds)
    first = min(first, len(rates) - 1)
    bound = Clairvoyant(load, pods, first_step=first)
    outcome = play(load, pods, Plan(wanted))
    found = score("plan", outcome, load, pods, bound, first_step=first)
    assert found.gpu_hours >= bound.gpu_seconds(found.late_ratio) / 3600 - 1e-9


@settings(max_examples=20)
@given(LOADS, st.sampled_from(sorted(POLICIES)), COLD_STARTS)
def test_no_named_policy_costs_less(rates: list[float], name: str, cold_seconds: float) -> None:
    load, pods = trace(rates), workload(cold_seconds, max_replicas=20)
    bound = Clairvoyant(load, pods)
    make, _ = POLICIES[name]
    found = score(name, play(load, pods, make(pods, 0.9, Chain())), load, pods, bound)
    assert found.gpu_hours >= bound.gpu_seconds(found.late_ratio) / 3600 - 1e-9
