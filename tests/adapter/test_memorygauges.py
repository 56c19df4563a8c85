"""Pods near their memory's end as a metric: by workload, bounded, gone with who told of it."""

from __future__ import annotations

import pytest

from adapter import memorygauges
from adapter.memorygauges import COUNT_SECONDS, MemoryGauges
from adapter.model.word import Word
from adapter.telemetry import Metrics
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

NAME = "forescale_adapter_pods_near_out_of_memory"


def figures(metrics: Metrics) -> dict[str, float]:
    (family,) = [one for one in metrics.registry.collect() if one.name == NAME]
    return {sample.labels["workload"]: sample.value for sample in family.samples}


def world() -> World:
    made = World(serving_pod("a"), serving_pod("b"), serving_pod("lone", owners=()))
    made.say = {name: {"pending": 1.0} for name in made.pods}
    made.word = {"a": Word(near_oom=True), "b": Word(near_oom=True), "lone": Word(near_oom=False)}
    return made


def test_each_workload_has_its_count_which_goes_with_those_who_told_it() -> None:
    metrics, made = Metrics(), world()
    gauges = MemoryGauges(metrics)
    gauges.show(made.advance(3))
    assert figures(metrics) == {DEPLOYMENT: 2, "lone": 0}
    del made.pods["lone"]
    made.word["b"] = Word(near_oom=False)
    gauges.show(made.advance(int(COUNT_SECONDS) - 1))
    assert figures(metrics) == {DEPLOYMENT: 2, "lone": 0}
    gauges.show(made.advance(1))
    assert figures(metrics) == {DEPLOYMENT: 1}


def test_beyond_the_cap_those_with_most_pods_near_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memorygauges, "MAX_WORKLOADS", 1)
    metrics = Metrics()
    MemoryGauges(metrics).show(world().advance(3))
    assert figures(metrics) == {DEPLOYMENT: 2}
