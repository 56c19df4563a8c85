"""A replay plays pods, queue and autoscaler in step, and counts what it cost."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.replay.fluid import Fluid
from adapter.replay.play import initial, play, queue_of
from adapter.replay.pods import Pods
from adapter.replay.requests import Requests
from adapter.replay.seen import Seen
from adapter.replay.workload import ColdStart
from tests.adapter.replay.worlds import requests, trace, workload


class Plan:
    """Wants what it is told, by the time."""

    period_seconds = 15.0

    def __init__(self, **wanted: int) -> None:
        self._wanted = {float(at.removeprefix("at")): count for at, count in wanted.items()}

    def decide(self, _seen: Seen, pods: Pods, now: float) -> int:
        return self._wanted.get(now, pods.wanted)


def test_a_pod_costs_from_its_creation_and_serves_after_its_cold_start() -> None:
    found = play(trace([2.0] * 24), workload(30.0), Plan(at30=2))
    assert found.replicas.tolist() == [2] * 24
    later = play(trace([1.0] * 24), workload(30.0), Plan(at30=3))
    assert later.replicas.tolist() == [1] * 6 + [3] * 18
    assert later.ready.tolist() == [1] * 12 + [3] * 12
    assert later.paid.sum() == 5.0 * (6 + 3 * 18)
    assert np.flatnonzero(later.scaled).tolist() == [6]


def test_a_removed_pod_costs_its_grace_period_too() -> None:
    found = play(trace([3.6] * 6), workload(30.0), Plan(at15=1))
    assert found.replicas.tolist() == [2] * 3 + [1] * 3
    assert found.paid.sum() == 5.0 * 9 + 30.0


def test_it_begins_with_pods_for_the_first_minutes() -> None:
    assert initial(trace([9.0] * 200), workload()) == 5
    assert initial(trace([0.0] * 9), workload(min_replicas=2)) == 2
    assert initial(trace([900.0] * 9), workload(max_replicas=7)) == 7


def test_few_requests_are_played_one_by_one_and_many_as_a_liquid() -> None:
    assert isinstance(queue_of(requests([0.0, 0.5]), workload()), Requests)
    assert isinstance(queue_of(requests([0.001 * n for n in range(999)]), workload()), Fluid)
    assert isinstance(queue_of(trace([1.0]), workload()), Fluid)


def test_the_same_seed_gives_the_same_cold_starts() -> None:
    slow = workload(cold_start=ColdStart(30.0, 90.0))
    runs = [play(trace([1.0] * 60), slow, Plan(at15=4), seed=seed) for seed in (1, 1, 2)]
    assert runs[0].ready.tolist() == runs[1].ready.tolist() != runs[2].ready.tolist()


def test_progress_is_told() -> None:
    told: list[float] = []
    play(trace([1.0] * 2500), workload(), Plan(), progress=told.append)
    assert told == pytest.approx([0.0, 0.4, 0.8])
