"""A score counts the known steps that are to be scored, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.play import Outcome, play
from adapter.replay.pods import Pods
from adapter.replay.score import bound_of, score, score_of_bound
from adapter.replay.seen import Seen
from adapter.replay.waits import Waits
from tests.adapter.replay.worlds import requests, trace, workload

OUTCOME = Outcome(
    waits=Waits(np.array([2.5, 7.5, 12.5, 17.5]), np.array([9.0, 9.0, 3.0, 0.0]), np.ones(4)),
    paid=np.array([100.0, 200.0, 400.0, 800.0]),
    replicas=np.array([9, 8, 3, 2]),
    ready=np.array([1, 1, 1, 1]),
    waiting=np.zeros(4),
    scaled=np.array([True, True, True, False]),
)


class Fixed:
    """One pod, whatever comes."""

    period_seconds = 15.0

    def decide(self, _: Seen, __: Pods, ___: float) -> int:
        return 1


def test_the_figures_are_those_of_the_scored_steps() -> None:
    load, pods = trace([1.0] * 4, unknown=[1]), workload()
    found = score("p", OUTCOME, load, pods, Clairvoyant(load, pods), first_step=1)
    assert found.late_ratio == 0.5
    assert found.ttft_p99_seconds == 3.5
    assert found.gpu_hours == pytest.approx(1200 / 3600)
    assert (found.scale_events, found.replicas_max) == (1, 3)


def test_the_oracle_is_as_late_as_the_policy() -> None:
    load, pods = trace([7.0] * 720), workload(600.0)
    bound = Clairvoyant(load, pods)
    outcome = Outcome(
        waits=Waits(np.array([1.0, 2.0]), np.array([0.0, 9.0]), np.ones(2)),
        paid=np.ones(720),
        replicas=np.ones(720, np.int64),
        ready=np.ones(720, np.int64),
        waiting=np.zeros(720),
        scaled=np.zeros(720, bool),
    )
    found = score("p", outcome, load, pods, bound)
    assert found.late_ratio == 0.5
    assert found.oracle_gpu_hours == bound.gpu_seconds(0.5) / 3600 < bound.gpu_seconds() / 3600


def test_the_bound_is_nobodys_policy() -> None:
    load, pods = trace([7.0] * 720), workload(600.0)
    found = score_of_bound(pods, Clairvoyant(load, pods))
    assert (found.policy, found.late_ratio, found.scale_events) == ("clairvoyant", 0.0, None)
    assert found.gpu_hours == found.oracle_gpu_hours


def test_requests_that_begin_at_once_are_no_better_than_the_bound() -> None:
    """A pod takes as many at once as it serves at a time: the liquid's bound is none for them."""
    pods = workload(600.0, concurrency=60.0)
    crowd = requests([0.0, *[600.0] * 60, 1200.0])
    outcome = play(crowd, pods, Fixed())
    assert outcome.waits.late_ratio(pods.late_seconds) == 0
    paid = float(outcome.paid.sum())
    assert bound_of(crowd, pods).gpu_seconds() <= paid < Clairvoyant(crowd, pods).gpu_seconds()
