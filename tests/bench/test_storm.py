"""A load that answers to its queue is played as any other, and a forecast does not feed on it."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.model.forecast import MOST_RATIO
from adapter.model.hpa import Answer
from adapter.model.hpa_policy import Metric, Policy, TotalMetric
from adapter.replay.answers import Chain, answer
from adapter.replay.autoscaler import Forescale
from adapter.replay.play import Outcome, play
from adapter.replay.pods import Pods
from adapter.replay.policies import POLICIES
from adapter.replay.seen import Seen
from adapter.replay.trace import Trace
from adapter.replay.workload import ColdStart, Workload
from bench.storm import play_storm

STEP_SECONDS = 15.0
HOUR = round(3_600 / STEP_SECONDS)
AT, HOURS = 6 * HOUR, 9
RATE, PODS, MOST = 40.0, 10, 60
TARGET = 0.9 * RATE / PODS  # requests a second of a pod
LOAD = Workload(RATE / PODS, cold_start=ColdStart(600.0, 600.0), max_replicas=MOST)


class Watched(Forescale):
    """What it was told to serve, beside the present, at each look."""

    def __init__(self) -> None:
        metric = TotalMetric("llm_inference_arrival_rate_forecast", round(1_000 * TARGET))
        super().__init__(Policy("watched", "Deployment/watched", 1, MOST, (metric,)), LOAD)
        self.told: list[tuple[int, int]] = []

    def answer(self, metric: Metric, seen: Seen, pods: Pods, now: float) -> Answer:
        served = super().answer(metric, seen, pods, now)
        present = answer(metric, seen, pods, self.chain, now)
        if isinstance(served, int) and isinstance(present, int):
            self.told.append((served, present))
        return served


def crowd(ratio: float, seconds: float) -> Trace:
    """Six quiet hours, so many times the load for so long, and quiet hours again."""
    rates = RATE * (1 + 0.05 * np.random.default_rng(1).standard_normal(HOURS * HOUR))
    rates[AT : AT + round(seconds / STEP_SECONDS)] *= ratio
    return Trace("crowd", STEP_SECONDS, rates * STEP_SECONDS, np.ones(len(rates), bool))


def last_late(outcome: Outcome) -> int:
    return int(np.flatnonzero(outcome.waiting > 0)[-1])


@pytest.mark.parametrize(
    ("ratio", "seconds", "retries"), [(8.0, 60.0, 1.0), (1.6, 300.0, 2.5)], ids=["crowd", "storm"]
)
def test_a_forecast_keeps_to_its_cap_and_what_it_asked_for_goes_again(
    ratio: float, seconds: float, retries: float
) -> None:
    trace, watched = crowd(ratio, seconds), Watched()
    behind = POLICIES["reactive"][0](LOAD, 0.9, Chain())
    ahead = play_storm(trace, LOAD, watched, retries)
    plain = play_storm(trace, LOAD, behind, retries)
    cap = 1_000 * TARGET
    assert max(served - MOST_RATIO * present - cap for served, present in watched.told) <= 1
    assert max(served for served, _ in watched.told) > 2_000 * RATE, "it was tried"
    assert last_late(ahead) <= last_late(plain), "it prolongs nothing"
    assert ahead.replicas.max() <= MOST
    later = ahead.replicas[AT + 2 * HOUR :]
    assert later.max() < 2 * ahead.replicas[AT - 1], "no overshoot lasts"


def test_without_retries_it_is_the_play_of_the_replay() -> None:
    trace = crowd(3.0, 600.0)
    make = POLICIES["reactive"][0]
    mine = play_storm(trace, LOAD, make(LOAD, 0.9, Chain()), 1.0)
    theirs = play(trace, LOAD, make(LOAD, 0.9, Chain()))
    for name in ("paid", "replicas", "ready", "waiting", "scaled"):
        assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name
    assert np.array_equal(mine.waits.seconds, theirs.waits.seconds)


def test_who_waits_too_long_asks_again_and_the_trace_stays_as_it_is() -> None:
    trace = crowd(3.0, 600.0)
    before = trace.arrivals.copy()
    make = POLICIES["reactive"][0]
    calm, storm = (play_storm(trace, LOAD, make(LOAD, 0.9, Chain()), one) for one in (1.0, 2.0))
    assert storm.waits.weight.sum() > calm.waits.weight.sum() + 2 * RATE * 600.0
    assert np.array_equal(trace.arrivals, before)
