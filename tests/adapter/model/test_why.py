"""The why: each pod's way from its last reading to the served value, in figures and words."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec import structs

from adapter.model.batch import ModelState
from adapter.model.catalogue import METRICS, RAW, Agg, Over, Stat, View
from adapter.model.foreseen import Foreseen, Mode, Reckoning
from adapter.model.owners import KNOWN
from adapter.model.prospect import Prospect
from adapter.model.queried import Board, Key
from adapter.model.queried import Figure as Answered
from adapter.model.snapshot import TotalKey
from adapter.model.target import DEMANDS, Target
from adapter.model.why import Choice, Figure, Phase, Story, Total, tell, tell_desired, tell_queried
from adapter.model.word import Gpus, Phases, Word
from adapter.settings import ObjectQuery, Prometheus
from tests.adapter.model.world import (
    DEPLOYMENT,
    HOLD_SECONDS,
    NAMESPACE,
    START,
    WALL,
    World,
    serving_pod,
)

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
    assert (story(world).view, story(world).served_as) == ("mean 15s", "mean over 15 s")
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


def test_a_pod_tells_how_it_started_and_what_is_about_to_be_full() -> None:
    world = World(serving_pod("a"))
    world.say = {"a": {"pending": 1.0}}
    phases = Phases(START - 599.5, START - 599.0, START - 590.0, None, START - 510.0, START - 500.0)
    world.word = {"a": Word(phases, near_oom=True, near_oom_why="the KV cache is\x1b full")}
    world.advance(3)
    (pod,) = story(world).pods
    assert pod.near_oom == "the KV cache is  full"
    assert pod.phases == (
        Phase("container_started", WALL - 600),
        Phase("server_started", WALL - 599.5),
        Phase("sidecar_started", WALL - 599),
        Phase("engine_listening", WALL - 590),
        Phase("engine_ready", WALL - 510),
        Phase("engine_served", WALL - 500),
    )


def test_a_queue_by_proxy_is_noted_and_a_figure_that_is_none_is_not() -> None:
    world = World(serving_pod("a"), serving_pod("b"))
    world.say = {"a": {"pending": 1.0}, "b": {}}
    world.word = dict.fromkeys("ab", Word(estimate="connections to port 11434"))
    world.advance(3)
    assert figure(world, "a").note == "by proxy: connections to port 11434"
    assert figure(world, "b").note is None


def test_a_mean_over_fewer_gpus_than_the_pod_has_says_so_and_a_sum_is_none() -> None:
    world = World(serving_pod("a"))
    world.say = {"a": {"gpu_busy_percent": 60.0}}
    world.gpus = {"a": Gpus(4, {"gpu_busy_percent": 1, "gpu_power_watts": 1})}
    world.advance(3)
    assert world.snapshot is not None
    place = {"namespace": NAMESPACE, "kind": "Pod", "name": "a"}
    busy, power = (
        tell(world.snapshot, METRICS[name], Choice(RAW), **place)
        for name in ("nvidia_gpu_utilization", "nvidia_gpu_power_watts")
    )
    assert busy is not None
    assert power is not None
    assert busy.pods[0].figure.note == "of 3 of 4 GPUs"
    assert power.pods[0].figure.why == "known of 3 of 4 GPUs only"


def test_the_most_of_a_pods_gpus_is_told_as_it_is_served() -> None:
    world = World(serving_pod("a"), serving_pod("b"))
    busy = METRICS["nvidia_gpu_utilization"]
    world.say = {
        "a": {busy.series: 50.0, f"{busy.series}_max": 90.0},
        "b": {busy.series: 40.0},
    }
    world.advance(3)
    assert world.snapshot is not None
    view = View(Stat.RAW, over=Over.MAX)
    where = {"namespace": NAMESPACE, "kind": "Deployment.apps", "name": DEPLOYMENT}
    found = tell(world.snapshot, busy, Choice(view), **where)
    assert found is not None
    assert found.view == "raw, gpus=max"
    assert [(pod.figure.raw, pod.figure.served) for pod in found.pods] == [(90, "90"), (40, "40")]
    assert found.total == Total("130", None)


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


def test_a_latency_is_of_a_window_alone_and_an_idle_pod_is_told_as_idle() -> None:
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
    assert served == Figure(None, 0.0, "fresh", "950m", None)
    assert found.served_as == "p95 over 60 s"
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


SIXTEEN = Target(DEMANDS["inflight"], 16_000)


def desired(world: World, kind: str = "Deployment", name: str = DEPLOYMENT) -> Story | None:
    assert world.snapshot is not None
    return tell_desired(world.snapshot, namespace=NAMESPACE, kind=kind, name=name)


def test_desired_replicas_are_told_from_the_pods_over_the_total_to_the_division() -> None:
    eighty = Target(DEMANDS["gpu"], 80_000)
    world = World(serving_pod("a", target=SIXTEEN), serving_pod("b", target=eighty))
    world.say = {name: {"inflight": 20.0, "gpu_busy_percent": 50.0} for name in "ab"}
    world.advance(40)
    found = desired(world)
    assert found is not None
    assert found.total == Total("3", None)
    assert [
        (one.story.metric, one.story.total, one.target, one.acting, one.replicas)
        for one in found.demands
    ] == [
        (DEMANDS["inflight"], Total("40", None), "16", "40", 3),
        (DEMANDS["gpu"], Total("100", None), "80", "100", 2),
    ]
    assert [pod.figure.served for pod in found.demands[0].story.pods] == ["20", "20"]


def test_a_forecast_that_acts_raises_what_is_divided_and_is_told() -> None:
    world = World(serving_pod("a", target=SIXTEEN))
    world.say["a"] = {"inflight": 20.0}
    snapshot = world.advance(20)
    metric = METRICS[DEMANDS["inflight"]]
    key = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, metric.name, metric.view)
    ahead = Foreseen(Mode.ACT, 20.0, 50.0, 50.0, None, "90 s", "believed")
    world.snapshot = dataclasses.replace(snapshot, foreseen={key: ahead})
    found = desired(world)
    assert found is not None
    (demand,) = found.demands
    assert (demand.acting, demand.replicas) == ("50", 4)
    told = demand.story.prospect
    assert told is not None
    assert (told.mode, told.present, told.served, told.horizon) == ("act", 20.0, 50.0, "90 s")


def test_a_demand_is_told_with_what_its_forecast_is_made_of() -> None:
    world = World(serving_pod("a"))
    world.say["a"] = {"inflight": 20.0}
    snapshot = world.advance(20)
    metric = METRICS[DEMANDS["inflight"]]
    place = {"namespace": NAMESPACE, "kind": "Deployment", "name": DEPLOYMENT}
    key = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, metric.name, metric.view)
    made = Reckoning("season", 0.5, 40.0, 1.25)
    ahead = Foreseen(Mode.OBSERVE, 20.0, 50.0, 50.0, 0.96, "90 s", "forecast", None, made)
    snapshot = dataclasses.replace(snapshot, foreseen={key: ahead})
    told = Prospect(
        "observe", 20.0, 50.0, 20.0, "90 s", "forecast", "season", 0.5, 40.0, 1.25, 0.96
    )
    plain = tell(snapshot, metric, Choice(metric.view), **place)
    assert plain is not None
    assert (plain.prospect, plain.total) == (told, Total("20", None))
    acting = {key: structs.replace(ahead, mode=Mode.ACT)}
    found = tell(
        dataclasses.replace(snapshot, foreseen=acting),
        metric,
        Choice(metric.view, ahead=True),
        **place,
    )
    assert found is not None
    assert (found.metric, found.total) == (f"{metric.name}_forecast", Total("50", None))
    other = tell(snapshot, metric, Choice(RAW), **place)
    assert other is not None
    assert other.prospect is None
    off = tell(
        dataclasses.replace(snapshot, foreseen={}), metric, Choice(metric.view, ahead=True), **place
    )
    assert off is not None
    assert off.total is not None
    assert "annotate its pod template forescale.dev/forecast" in (off.total.why or "")


def test_without_a_target_or_a_total_there_are_no_desired_replicas_and_that_is_said() -> None:
    world = World(serving_pod("a"))
    world.advance(3)
    found = desired(world)
    assert found is not None
    assert found.total is not None
    assert (found.total.served, found.demands) == (None, ())
    assert "annotate its pod template forescale.dev/target" in (found.total.why or "")
    world.change("a", target=SIXTEEN)
    world.advance(3)
    found = desired(world)
    assert found is not None
    assert found.demands[0].replicas is None
    assert found.total == found.demands[0].story.total
    assert desired(world, "Pod", "a") is None
    assert desired(world, name="other") is None


QUEUE = Key("gateway_queue", "Deployment.apps", NAMESPACE, "llm")
ASKS = Prometheus(period_seconds=15.0, objects=(ObjectQuery("gateway_queue", "q"),))


@pytest.mark.parametrize(
    ("seconds", "trouble", "figure"),
    [
        (10, "", Figure(3.5, 10.0, "fresh", "3500m", None)),
        (45, "Prometheus: gone", Figure(3.5, 45.0, "held", "3500m", "Prometheus: gone")),
        (
            61,
            "Prometheus: gone",
            Figure(
                3.5,
                61.0,
                "gone",
                None,
                "gateway_queue of Deployment `llm` has had no value for 61 s: Prometheus: gone",
            ),
        ),
    ],
)
def test_a_query_is_told_with_its_last_answer_and_what_is_wrong_now(
    seconds: int, trouble: str, figure: Figure
) -> None:
    world = World()
    at = world.advance().at
    troubles = {QUEUE[:2]: trouble} if trouble else {}
    board = Board.of(ASKS, KNOWN, HOLD_SECONDS).after({QUEUE: Answered(3.5, at)}, troubles, at)
    found = tell_queried(world.advance(seconds), board, QUEUE)
    assert found.object == figure
    assert (found.pods, found.total) == ((), None)


def test_an_object_that_no_answer_had_has_no_figure_and_the_reason() -> None:
    board = Board.of(ASKS, KNOWN, HOLD_SECONDS).after({}, {}, 0.0)
    found = tell_queried(World().advance(), board, QUEUE).object
    assert found is not None
    assert (found.raw, found.served, found.freshness) == (None, None, None)
    assert "the query's answer has no series for it" in (found.why or "")
