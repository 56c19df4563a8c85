"""The why: each pod's way from its last reading to the served value, in figures and words."""

from __future__ import annotations

from adapter.model.batch import ModelState
from adapter.model.catalogue import METRICS, RAW, Agg
from adapter.model.why import Choice, Figure, Story, Total, tell
from tests.adapter.model.world import DEPLOYMENT, HOLD_SECONDS, NAMESPACE, World, serving_pod

PENDING = METRICS["llm_inference_pending_requests"]
KV = METRICS["llm_inference_kv_cache_utilization"]


def story(world: World, kind: str = "Deployment", name: str = DEPLOYMENT) -> Story:
    assert world.snapshot is not None
    found = tell(
        world.snapshot, PENDING, Choice(PENDING.view), namespace=NAMESPACE, kind=kind, name=name
    )
    assert found is not None
    return found


def figure(world: World, name: str) -> Figure:
    (pod,) = story(world, "Pod", name).pods
    return pod.figure


def test_a_serving_pod_shows_its_last_reading_and_what_is_served() -> None:
    world = World(serving_pod("a"))
    world.say["a"] = {"pending": 0.0}
    world.advance(20)
    world.say["a"] = {"pending": 15.0}
    world.advance(3)
    (pod,) = story(world).pods
    assert (pod.name, pod.standing, pod.heard_seconds_ago) == ("a", "serving", 0.0)
    assert pod.figure == Figure(15.0, 0.0, "fresh", "3", None)
    assert story(world).view == "mean 15s"
    assert story(world).unit == "requests"


def test_a_loading_pod_is_left_out_in_the_words_of_its_source() -> None:
    world = World(serving_pod("a"), serving_pod("b", model_ready=False, ready_changed_at=None))
    world.say = {"a": {"pending": 1.0}, "b": {}}
    world.why["b"] = {"engine": "the port refuses"}
    world.model["b"] = ModelState.LOADING
    world.advance(3)
    assert figure(world, "b") == Figure(
        None, None, None, None, "is still loading its model (the port refuses)"
    )


def test_a_silent_pod_is_held_and_then_gone_with_the_age_in_words() -> None:
    world = World(serving_pod("a"), serving_pod("b"), serving_pod("c"))
    world.say = {name: {"pending": 4.0} for name in "abc"}
    world.advance(5)
    del world.say["b"]
    world.advance(10)
    held = figure(world, "b")
    assert (held.freshness, held.served, held.age_seconds) == ("held", "4", 10.0)
    world.advance(int(HOLD_SECONDS))
    gone = figure(world, "b")
    assert (gone.freshness, gone.served, gone.age_seconds) == ("gone", None, None)
    assert gone.raw == 4.0
    assert gone.why == "no reading for 70 s"


def test_a_workload_has_its_total_and_a_pod_has_none() -> None:
    world = World(serving_pod("a"), serving_pod("b"))
    world.say = {name: {"pending": 4.0} for name in "ab"}
    world.advance(20)
    found = story(world).total
    assert found is not None
    assert (found.served, found.why) == ("8", None)
    assert story(world, "Pod", "a").total is None


def test_a_total_below_the_quorum_is_none_with_the_reason() -> None:
    world = World(serving_pod("a"), serving_pod("b"), serving_pod("c"))
    world.say = {"a": {"pending": 4.0}}
    world.advance(20)
    found = story(world).total
    assert found is not None
    assert found.served is None
    assert found.why is not None
    assert "known for 1 of 3 pods" in found.why


def test_every_pod_of_a_namespace_can_be_asked_for() -> None:
    world = World(serving_pod("a"), serving_pod("z", owners=()))
    world.advance(1)
    assert [pod.name for pod in story(world, "Pod", "*").pods] == ["a", "z"]


def test_who_has_no_source_has_no_story() -> None:
    world = World(serving_pod("a"))
    world.advance(1)
    assert world.snapshot is not None
    for kind, name in (("Deployment", "other"), ("Pod", "b"), ("Service", DEPLOYMENT)):
        place = {"namespace": NAMESPACE, "kind": kind, "name": name}
        assert tell(world.snapshot, KV, Choice(RAW), **place) is None


def test_a_latency_is_told_as_it_is_served_and_an_idle_pod_as_idle() -> None:
    queue = METRICS["llm_inference_queue_time_seconds"]
    world = World(serving_pod("a"), serving_pod("b"))
    world.say = {"a": {}, "b": {}}
    none = {queue.series: ((1.0,), (0.0, 0.0))}
    world.counts = {"a": none, "b": none}
    world.advance(2)
    world.counts["a"] = {queue.series: ((1.0,), (20.0, 20.0))}
    world.advance(1)
    assert world.snapshot is not None
    where = {"namespace": NAMESPACE, "kind": "Deployment", "name": DEPLOYMENT}
    found = tell(world.snapshot, queue, Choice(queue.view), **where)
    assert found is not None
    served, idle = (pod.figure for pod in found.pods)
    assert served == Figure(0.95, 0.0, "fresh", "950m", None)
    assert (idle.served, idle.why) == (None, "no request was measured in the window")
    assert found.total is None


def test_a_choice_of_model_and_of_the_mean_tells_what_is_served_for_it() -> None:
    world = World(*(serving_pod(name) for name in "abc"))
    world.say = {"a": {"pending": 2.0}, "b": {"pending": 4.0}, "c": {"pending": 60.0}}
    world.dims = {"a": {"model": "llama"}, "b": {"model": "llama"}, "c": {"model": "qwen"}}
    world.advance(20)
    assert world.snapshot is not None
    where = {"namespace": NAMESPACE, "kind": "Deployment", "name": DEPLOYMENT}
    choice = Choice(PENDING.view, (("model", "llama"),), Agg.MEAN)
    found = tell(world.snapshot, PENDING, choice, **where)
    assert found is not None
    assert [pod.name for pod in found.pods] == ["a", "b"]
    assert found.total == Total("3", None)
    assert found.view == "mean 15s, model=llama, agg=mean"


def test_a_model_that_nobody_serves_is_told_with_all_pods_in_sight() -> None:
    world = World(serving_pod("a"))
    world.say, world.dims = {"a": {"pending": 2.0}}, {"a": {"model": "llama"}}
    world.advance(20)
    assert world.snapshot is not None
    where = {"namespace": NAMESPACE, "kind": "Deployment", "name": DEPLOYMENT}
    found = tell(world.snapshot, PENDING, Choice(PENDING.view, (("model", "qwen"),)), **where)
    assert found is not None
    assert [pod.name for pod in found.pods] == ["a"]
    assert found.total is not None
    assert found.total.served is None
    assert "llama" in (found.total.why or "")
