"""Who is about to run out of memory: by a word that still stands, and only where it was said."""

from __future__ import annotations

from adapter.model.exits import Workload
from adapter.model.outlook import lacking_by_workload, near, near_by_workload
from adapter.model.word import Gpus, Word
from tests.adapter.model.world import DEPLOYMENT, HOLD_SECONDS, NAMESPACE, World, serving_pod

NEAR = Word(near_oom=True, near_oom_why="the KV cache is 97 % full and requests wait")
WELL = Word(near_oom=False)
WORKLOAD = Workload(NAMESPACE, "Deployment", DEPLOYMENT)


def world() -> World:
    made = World(*(serving_pod(name) for name in "abc"))
    made.say = {name: {"pending": 1.0} for name in "abc"}
    made.word = {"a": NEAR, "b": WELL}
    return made


def test_pods_that_are_near_are_counted_by_their_workload_and_told_in_their_words() -> None:
    found = world().advance(3)
    assert near_by_workload(found) == {WORKLOAD: 1}
    assert near(found, "uid-a") == NEAR.near_oom_why
    assert near(found, "uid-b") is near(found, "uid-c") is None


def test_none_near_is_0_and_nobody_who_tells_is_no_figure() -> None:
    made = world()
    made.word["a"] = WELL
    assert near_by_workload(made.advance(3)) == {WORKLOAD: 0}
    made.word = {}
    assert near_by_workload(made.advance(3)) == {}


def test_the_word_of_a_silent_source_stands_as_long_as_its_figures_do() -> None:
    made = world()
    made.advance(3)
    del made.say["a"]
    assert near_by_workload(made.advance(int(HOLD_SECONDS))) == {WORKLOAD: 1}
    assert near_by_workload(made.advance(1)) == {WORKLOAD: 0}
    assert near(made.advance(1), "uid-a") is None


def test_a_pod_that_does_not_serve_is_not_counted() -> None:
    made = world()
    made.advance(3)
    made.change("a", terminating=True)
    assert near_by_workload(made.advance(1)) == {WORKLOAD: 0}


def test_a_pod_lacks_gpus_while_a_figure_of_the_others_is_served() -> None:
    made = world()
    made.say = {name: {"gpu_busy_percent": 50.0} for name in "abc"}
    part = Gpus(4, {"gpu_busy_percent": 1, "gpu_power_watts": 1})
    made.gpus = {"a": part, "b": Gpus(4), "c": Gpus(1)}
    assert lacking_by_workload(made.advance(3)) == {WORKLOAD: 1}
    made.say["a"] = {"pending": 1.0}  # and of its GPUs nothing any more
    assert lacking_by_workload(made.advance(int(HOLD_SECONDS) + 1)) == {WORKLOAD: 0}


def test_where_a_sum_alone_is_missing_nothing_is_served_that_looks_whole() -> None:
    made = world()
    made.gpus = {"a": Gpus(2, {"gpu_power_watts": 1})}
    assert lacking_by_workload(made.advance(3)) == {WORKLOAD: 0}
