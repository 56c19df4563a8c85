"""The HPA of a replay decides as the controller would on what it sees."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest

from adapter.model.hpa_policy import PodsMetric, Policy, TotalMetric
from adapter.model.target import Target
from adapter.replay.answers import Chain, Desired
from adapter.replay.autoscaler import Forescale, Hpa
from adapter.replay.play import play
from adapter.replay.pods import Pods
from adapter.replay.policies import POLICIES
from adapter.replay.seen import Seen
from tests.adapter.replay.worlds import trace, workload

DAY = 86_400.0
RATE = TotalMetric("llm_inference_arrival_rate", 2_000)
FORECAST_RATE = TotalMetric("llm_inference_arrival_rate_forecast", 2_000)


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


def forescaled(
    rates: list[float],
    *,
    waiting: float = 0.0,
    unknown: tuple[int, ...] = (),
    metric: TotalMetric | PodsMetric = FORECAST_RATE,
    desired: Desired | None = None,
) -> int:
    """Replicas that are asked for after these rates, with three pods ready throughout."""
    load, pods = trace(rates, unknown=unknown), workload(300.0)
    seen, held = Seen(load, pods), Pods(3, itertools.repeat(300.0))
    policy = Policy("h", "Deployment/d", 1, 10, (metric,))
    scaler = Forescale(policy, pods, Chain(0.0), desired=desired)
    wanted = 0
    for step in range(len(rates)):
        seen.note(waiting=waiting, running=rates[step], ready=3)
        now = 5.0 * (step + 1)
        if now % scaler.period_seconds == 0:
            wanted = scaler.decide(seen, held, now)
    return wanted


# Five and eight a second in turn, ten minutes each.
WAVES = ([5.0] * 120 + [8.0] * 120) * 10


def test_the_forecast_asks_for_the_pods_of_a_cold_start_later() -> None:
    """Nine minutes into the low half: the next high one is nearer than a pod's start."""
    rates = [*WAVES, *[5.0] * 108]
    assert forescaled(rates, metric=RATE) == 3
    assert forescaled(rates) >= 4


def test_requests_in_flight_are_forecast_as_arrivals_times_their_time_in_service() -> None:
    """A second each: as many in flight as come in a second; of a Pods metric each has a third."""
    rates = [*WAVES, *[5.0] * 108]
    name = "llm_inference_inflight_requests"
    assert forescaled(rates, metric=TotalMetric(name, 2_000)) == 3
    assert forescaled(rates, metric=TotalMetric(f"{name}_forecast", 2_000)) >= 4
    assert forescaled(rates, metric=PodsMetric(f"{name}_forecast", 2_000)) >= 4


def test_desired_replicas_are_the_total_by_the_target_ahead_where_the_forecast_acts() -> None:
    rates = [*WAVES, *[5.0] * 108]
    replicas = TotalMetric("forescale_desired_replicas", 1_000)
    target = Target("llm_inference_inflight_requests", 2_000)
    assert forescaled(rates, metric=replicas, desired=Desired(target)) == 3
    assert forescaled(rates, metric=replicas, desired=Desired(target, acts=True)) >= 4


def test_too_young_a_forecast_leaves_the_reading_as_it_is() -> None:
    assert forescaled([6.0] * 60) == 3


def test_a_queue_asks_for_the_pods_that_drain_it() -> None:
    """150 waiting are to be gone in half a cold start: one a second more than the arrivals."""
    steady = [6.0] * 720
    assert forescaled(steady, waiting=150.0) == forescaled(steady) + 1


def test_in_a_gap_the_forecast_changes_nothing() -> None:
    assert forescaled([6.0] * 720, unknown=tuple(range(600, 720))) == 3


def zero_nights(at: float) -> float:
    hour = at % DAY / 3600
    return 20 * (1 - math.cos(2 * math.pi * (hour - 7) / 13)) if 7 < hour < 20 else 0.0


def batches(at: float) -> float:
    return 60.0 if at % 18_000 < 3_600 else 0.0


@pytest.mark.parametrize(("rate", "days"), [(zero_nights, 1.4), (batches, 0.6)])
def test_of_loads_nobody_tuned_it_for_a_forecast_costs_little_or_helps(
    rate: Callable[[float], float], days: float
) -> None:
    step = 15.0
    rates = [rate(at * step) for at in range(int(days * DAY / step))]
    load = trace(rates, step_seconds=step)
    pods = workload(300.0, pod_rate=load.mean_rate / 10, concurrency=16.0)
    late, hours = [], []
    for name in ("reactive", "forescale"):
        outcome = play(load, pods, POLICIES[name][0](pods, 0.9, Chain()))
        late.append(outcome.waits.late_ratio(pods.late_seconds))
        hours.append(float(outcome.paid.sum()))
    assert late[1] <= late[0] + 0.001
    assert hours[1] <= 1.2 * hours[0] or late[1] < 0.75 * late[0]
