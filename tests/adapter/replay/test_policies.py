"""The named policies do what their names promise on loads that tell them apart."""

from __future__ import annotations

import pytest

from adapter.replay.answers import Chain
from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.play import Outcome, play
from adapter.replay.policies import POLICIES
from adapter.replay.score import Score, score
from tests.adapter.replay.worlds import trace, workload

WORKLOAD = workload(pod_rate=2.0, concurrency=16.0, max_replicas=30)


def played(name: str, rates: list[float], target: float = 0.9) -> Outcome:
    make, _ = POLICIES[name]
    return play(trace(rates), WORKLOAD, make(WORKLOAD, target, Chain()))


def scored(name: str, rates: list[float]) -> Score:
    load = trace(rates)
    return score(name, played(name, rates), load, WORKLOAD, Clairvoyant(load, WORKLOAD))


@pytest.mark.parametrize("name", ["reactive", "inflight"])
def test_at_rest_the_target_says_how_many_pods_there_are(name: str) -> None:
    """16/s at 2/s a pod: 8 pods are full, 16 are half full."""
    assert played(name, [16.0] * 300, target=0.5).replicas[-1] == 16
    assert played(name, [16.0] * 300, target=0.9).replicas[-1] == 9


def test_the_seed_sees_what_loads_as_idle() -> None:
    """At a steady full load the mean over loading pods falls below 80 %: it settles above 10."""
    assert played("seed", [20.0] * 600).replicas[-1] >= 12


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"keda"}))
def test_every_policy_but_keda_follows_a_load_up_and_down(name: str) -> None:
    found = played(name, [4.0] * 120 + [30.0] * 240 + [4.0] * 360)
    assert found.replicas[:120].max() <= found.replicas[120:360].max()
    assert found.replicas[120:360].max() >= 15
    assert found.replicas[-1] < found.replicas[120:360].max()


def test_an_empty_queue_makes_keda_drop_pods_that_are_busy() -> None:
    """Nobody waits with ten pods at 80 %, so a queue of 0 asks for the least: then all wait."""
    found = scored("keda", [16.0] * 720)
    assert found.late_ratio > 0.3
