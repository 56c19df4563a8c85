"""The HPA of a replay decides as the controller would on what it sees."""

from __future__ import annotations

import itertools

from adapter.model.hpa_policy import PodsMetric, Policy, TotalMetric
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Hpa
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen
from tests.adapter.replay.worlds import trace, workload

RATE = TotalMetric("llm_inference_arrival_rate", 2_000)


def decided(*metrics: PodsMetric | TotalMetric, rate: float, pods: int) -> int:
    seen = Seen(trace([rate] * 4), workload())
    for _ in range(4):
        seen.note(waiting=0.0, running=rate, ready=pods)
    hpa = Hpa(Policy("h", "Deployment/d", 1, 10, metrics), Chain(0.0))
    return hpa.decide(seen, Pods(pods, itertools.repeat(60.0)), 20.0)


def test_a_total_asks_for_as_many_pods_as_it_needs() -> None:
    assert decided(RATE, rate=7.0, pods=2) == 4


def test_a_controller_that_has_just_begun_does_not_scale_down() -> None:
    assert decided(RATE, rate=1.0, pods=5) == 5


def test_the_highest_wish_of_several_metrics_wins() -> None:
    running = PodsMetric("llm_inference_running_requests", 1_000)
    assert decided(RATE, running, rate=6.0, pods=2) == 4  # at most doubled, or four
