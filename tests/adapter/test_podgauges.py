"""Pods near OOM, or without some of their GPUs, as metrics: by workload, bounded, gone in time."""

from __future__ import annotations

import pytest

from adapter import podgauges
from adapter.model.word import Gpus, Word
from adapter.podgauges import COUNT_SECONDS, PodGauges
from adapter.telemetry import Metrics
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

NEAR, LACKING = (
    f"forescale_adapter_pods_{name}" for name in ("near_out_of_memory", "lacking_gpus")
)


def figures(metrics: Metrics, name: str = NEAR) -> dict[str, float]:
    (family,) = [one for one in metrics.registry.collect() if one.name == name]
    return {sample.labels["workload"]: sample.value for sample in family.samples}


def world() -> World:
    made = World(serving_pod("a"), serving_pod("b"), serving_pod("lone", owners=()))
    made.say = {name: {"pending": 1.0} for name in made.pods}
    made.word = {"a": Word(near_oom=True), "b": Word(near_oom=True), "lone": Word(near_oom=False)}
    return made


def test_each_workload_has_its_count_which_goes_with_those_who_told_it() -> None:
    metrics, made = Metrics(), world()
    gauges = PodGauges(metrics)
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
    monkeypatch.setattr(podgauges, "MAX_WORKLOADS", 1)
    metrics = Metrics()
    PodGauges(metrics).show(world().advance(3))
    assert figures(metrics) == {DEPLOYMENT: 2}


def test_pods_that_are_served_by_a_part_of_their_gpus_are_counted() -> None:
    metrics, made = Metrics(), world()
    made.say = {name: {"gpu_busy_percent": 50.0} for name in made.pods}
    made.gpus = {"a": Gpus(4, {"gpu_busy_percent": 1}), "b": Gpus(4), "lone": Gpus(1)}
    PodGauges(metrics).show(made.advance(3))
    assert figures(metrics, LACKING) == {DEPLOYMENT: 1}
