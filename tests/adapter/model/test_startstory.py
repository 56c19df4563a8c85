"""The story of a workload's cold start: what was learnt, and what its pods do now."""

from __future__ import annotations

from adapter.model.coldstart import PRIOR_P90_SECONDS
from adapter.model.exits import Workload
from adapter.model.sighting import Start
from adapter.model.startstory import StartingPod, tell
from tests.adapter.model.test_starting import (
    KEY,
    LLM,
    NOW,
    Timeline,
    changed,
    loading,
    new_pod,
    scheduled,
    served,
)


def test_it_has_the_starts_their_quantiles_and_phases() -> None:
    line = Timeline(*(served(str(n), 100.0 + 10 * n) for n in range(3)), new_pod("x"), at=200)
    line.see(220, gone="x")
    story = tell(line.starting, LLM, NOW + 300)
    assert (story.namespace, story.kind, story.name) == ("default", "Deployment", "llm")
    assert story.warm.seconds == (100, 110, 120)
    assert (story.warm.p50_seconds, story.warm.unfinished) == (110, 1)
    assert story.warm.p90_seconds >= 120
    assert (story.warm.node_seconds, story.warm.pull_seconds) == (10, 20)
    assert story.new_node is None
    assert story.horizon.startswith(f"{story.warm.p90_seconds + 15:.0f} s: cold start ")


def test_starts_that_waited_for_a_new_node_stand_apart() -> None:
    line = Timeline(served("a", 100), at=200)
    start = Start(400, ended=True, at=NOW, new_node=True, node_seconds=290)
    line.starting.learnt.learn(KEY, start)
    story = tell(line.starting, LLM, NOW + 300)
    assert story.warm.seconds == (100,)
    assert story.new_node is not None
    assert (story.new_node.seconds, story.new_node.node_seconds) == ((400,), 290)


def test_pods_that_start_say_what_they_do_and_stuck_ones_why() -> None:
    line = Timeline(
        new_pod("a"),
        changed(new_pod("b"), startup={"unschedulable": True}),
        scheduled(new_pod("c"), 1),
        loading(scheduled(new_pod("d"), 1), 5),
        changed(new_pod("e"), startup={"waiting_reason": "ErrImagePull"}),
        loading(new_pod("f"), 5),
        at=30,
    )
    story = tell(line.starting, LLM, NOW + 30)
    assert story.starting == (
        StartingPod("llm-a", 30, "is on no node yet"),
        StartingPod("llm-b", 30, "waits for a node"),
        StartingPod("llm-c", 30, "waits for its container to run"),
        StartingPod("llm-d", 30, "loads its model"),
        StartingPod("llm-f", 30, "loads its model"),
    )
    assert story.stuck == ("llm-e: ErrImagePull",)


def test_of_an_unknown_workload_the_prior_is_told() -> None:
    story = tell(Timeline().starting, Workload("a", "Deployment", "b"), NOW)
    assert (story.warm.seconds, story.warm.p50_seconds) == ((), None)
    assert story.warm.p90_seconds == round(PRIOR_P90_SECONDS[False], 1)
