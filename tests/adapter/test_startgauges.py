"""The learnt cold starts as metrics: of workloads that have started, and no others."""

from __future__ import annotations

import pytest

from adapter import startgauges
from adapter.model.sighting import Key, Start
from adapter.startgauges import COUNT_SECONDS, StartGauges
from adapter.telemetry import Metrics
from tests.adapter.model.test_starting import KEY, NOW, Timeline, changed, new_pod, served

NAME = "forescale_adapter_cold_start_seconds"


def figures(metrics: Metrics) -> dict[tuple[str, str], float]:
    (family,) = [one for one in metrics.registry.collect() if one.name == NAME]
    return {(s.labels["workload"], s.labels["quantile"]): s.value for s in family.samples}


def test_a_workload_has_its_median_and_its_90th_percentile() -> None:
    metrics, line = Metrics(), Timeline(*(served(str(n), 100.0 + n) for n in range(9)))
    StartGauges(metrics).turn(line.starting, NOW + 200)
    assert figures(metrics) == {("llm", "0.5"): 104, ("llm", "0.9"): 108}


def test_pods_that_start_are_counted_and_those_that_are_stuck_apart() -> None:
    blocked = changed(new_pod("b"), startup={"waiting_reason": "ErrImagePull"})
    metrics, line = Metrics(), Timeline(new_pod("a"), blocked, new_pod("c"))
    gauges, value = StartGauges(metrics), metrics.registry.get_sample_value
    gauges.turn(line.starting, NOW + 20)
    line.see(21, gone="a")
    gauges.turn(line.starting, NOW + 20 + COUNT_SECONDS - 1)
    assert value("forescale_adapter_starting_pods", {"stuck": "false"}) == 2
    gauges.turn(line.starting, NOW + 20 + COUNT_SECONDS)
    assert value("forescale_adapter_starting_pods", {"stuck": "false"}) == 1
    assert value("forescale_adapter_starting_pods", {"stuck": "true"}) == 1


def test_without_a_whole_start_there_is_no_figure() -> None:
    metrics, line = Metrics(), Timeline(new_pod())
    StartGauges(metrics).turn(line.starting, NOW + 20)
    assert figures(metrics) == {}


def test_while_most_starts_are_unfinished_there_is_no_median_and_still_a_90th_percentile() -> None:
    metrics, line = Metrics(), Timeline(served(), *(new_pod(f"{n}") for n in range(5)), at=200)
    gauges = StartGauges(metrics)
    gauges.turn(line.starting, NOW + 100)
    assert set(figures(metrics)) == {("llm", "0.5"), ("llm", "0.9")}
    gauges.turn(line.starting, NOW + 400)
    assert figures(metrics) == {("llm", "0.9"): 400}


def test_one_workload_a_turn_and_one_that_is_forgotten_loses_its_figures() -> None:
    metrics, line = Metrics(), Timeline(served())
    other = Key("default", "Deployment/other", "z")
    line.starting.learnt.learn(other, Start(50, ended=True, at=NOW, uid="o"))
    gauges = StartGauges(metrics)
    seen = []
    for _ in range(2):
        gauges.turn(line.starting, NOW + 200)
        seen.append({name for name, _ in figures(metrics)})
    assert seen == [{"other"}, {"other", "llm"}]
    line.starting.learnt.move("o", other, KEY)
    gauges.turn(line.starting, NOW + 200)
    assert {name for name, _ in figures(metrics)} == {"llm"}


def test_a_workload_whose_starts_are_too_old_loses_its_figures() -> None:
    metrics, line = Metrics(), Timeline(served())
    gauges = StartGauges(metrics)
    gauges.turn(line.starting, NOW + 200)
    gauges.turn(line.starting, NOW + 15 * 86_400)
    assert figures(metrics) == {}


def test_the_number_of_workloads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startgauges, "MAX_WORKLOADS", 2)
    metrics, line = Metrics(), Timeline()
    for n in range(5):
        start = Start(50, ended=True, at=NOW, uid=f"{n}")
        line.starting.learnt.learn(Key("default", f"Deployment/{n}", ""), start)
    gauges = StartGauges(metrics)
    for _ in range(10):
        gauges.turn(line.starting, NOW)
    assert len(figures(metrics)) == 4
