"""Tuning finds the cheapest HPA that is punctual enough, and prints what it played."""

from __future__ import annotations

import pytest
import yaml

from adapter.model.hpa_policy import Kind, TotalMetric, parse
from adapter.replay.answers import Chain
from adapter.replay.score import Score
from adapter.replay.tune import Choice, autoscaler, manifest, objective, policy, tune
from tests.adapter.replay.worlds import workload

WORKLOAD = workload(pod_rate=2.0, concurrency=16.0, max_replicas=30)
RATE, INFLIGHT = "llm_inference_arrival_rate", "llm_inference_inflight_requests"


def scored(late: float, hours: float) -> Score:
    return Score("p", late, 1.0, hours, 1.0, 1, 1)


def world(choice: Choice) -> Score:
    """The higher the target the cheaper and later; in-flight is cheaper, a long window dearer."""
    late = max(0.0, choice.target_percent - 60) / 1000
    hours = 200 - choice.target_percent + choice.window_seconds / 100
    return scored(late, hours - (10 if choice.metric == INFLIGHT else 0))


def test_the_cheapest_that_meets_the_objective_is_found() -> None:
    found = tune(0.01, world)
    assert found.choice == Choice(INFLIGHT, 70, 300)
    assert found.score == world(found.choice)
    assert found.tried <= 4 * 5


def test_where_none_meets_it_there_is_none() -> None:
    found = tune(0.0, lambda _: scored(0.5, 1.0))
    assert (found.choice, found.score) == (None, None)
    assert found.tried >= 4


def test_where_all_meet_it_the_highest_target_wins() -> None:
    found = tune(0.5, world)
    assert found.choice is not None
    assert found.choice.target_percent == 100


@pytest.mark.parametrize("metric", [RATE, INFLIGHT])
def test_the_manifest_is_what_was_played(metric: str) -> None:
    choice = Choice(metric, 70, 900)
    printed = parse(yaml.safe_load(manifest(choice, WORKLOAD)), tuple(Kind))
    played = policy(choice, WORKLOAD)
    (shown,), (meant,) = printed.metrics, played.metrics
    assert isinstance(shown, TotalMetric)
    assert isinstance(meant, TotalMetric)
    assert (shown.name, shown.target_milli) == (meant.name, meant.target_milli)
    assert shown.target_milli == (1_400 if metric == RATE else 11_200)
    assert printed.behavior == played.behavior
    assert (printed.min_replicas, printed.max_replicas) == (1, 30)
    assert autoscaler(choice, WORKLOAD, Chain()).policy == played


@pytest.mark.parametrize(("text", "late"), [("late<=0.01", 0.01), ("late <= .5", 0.5)])
def test_an_objective_is_a_share_of_late_requests(text: str, late: float) -> None:
    assert objective(text) == late


@pytest.mark.parametrize("text", ["", "late<0.01", "ttft<=2", "late<=1%", "late<=2"])
def test_another_objective_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no objective: write late<=0\.01"):
        objective(text)
