"""Demands of workloads that ask are forecast; held while pods are silent, bounded in number."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from adapter.model.catalogue import METRICS
from adapter.model.experts import NAMES
from adapter.model.fleet import Owner, Pod
from adapter.model.forecast import Forecaster
from adapter.model.foreseen import Doubt, Foreseen, Mode
from adapter.model.foresight import MAX_DEMANDS, MAX_PER_NAMESPACE, Foresight, wishes
from adapter.model.remembered import recall, remember
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.starting import Horizon
from adapter.model.target import DEMANDS, Target
from adapter.model.why import tell_desired
from tests.adapter.model.world import DEPLOYMENT, START, WALL, World, serving_pod

INFLIGHT = Target(DEMANDS["inflight"], 16_000)


def world_of(mode: Mode | None) -> World:
    pods = (serving_pod(f"llm-{n}", target=INFLIGHT, forecast=mode) for n in range(2))
    return World(*pods)


def live(world: World, seconds: int, level: float = 20.0) -> None:
    """Every pod has about so much in flight, another figure every half minute."""
    dice = np.random.default_rng(2)
    for _ in range(seconds // 30):
        for name in world.pods:
            world.say[name] = {"inflight": float(level * np.exp(0.1 * dice.standard_normal()))}
        world.advance(30)


def only(world: World) -> Foreseen:
    assert world.snapshot is not None
    (found,) = world.snapshot.foreseen.values()
    return found


HELD = "held: no reading was there until a moment ago"


def only_after(world: World, seconds: int) -> Foreseen:
    world.advance(seconds)
    return only(world)


@pytest.fixture(scope="module")
def taught() -> World:
    world = world_of(Mode.ACT)
    live(world, 2_700)
    return world


def test_a_demand_is_forecast_one_cold_start_ahead(taught: World) -> None:
    found = only(taught)
    assert found.mode is Mode.ACT
    assert found.why == "forecast"
    assert found.value is not None
    assert found.present < found.value < 3 * found.present + 16
    assert found.reckoning is not None
    assert set(found.reckoning.weights) == set(NAMES)
    assert sum(found.reckoning.weights.values()) == pytest.approx(1.0)
    assert "cold start" in found.horizon
    assert "HPA sync 15 s" in found.horizon


def test_the_mode_changes_and_what_was_learnt_stays(taught: World) -> None:
    for name in taught.pods:
        taught.change(name, forecast=Mode.OBSERVE)
    taught.advance(6)
    assert (only(taught).mode, only(taught).why) == (Mode.OBSERVE, "forecast")
    for name in taught.pods:
        taught.change(name, forecast=None)
    taught.advance(6)
    assert taught.snapshot is not None
    assert taught.snapshot.foreseen == {}
    for name in taught.pods:
        taught.change(name, forecast=Mode.ACT)
    taught.advance(6)
    assert only(taught).why == "forecast"


def test_while_a_pod_is_silent_nothing_grows_and_then_it_goes(taught: World) -> None:
    live(taught, 60)
    before = only(taught)
    assert before.value is not None
    say = dict(taught.say)
    del taught.say["llm-1"]
    taught.say["llm-0"] = {"inflight": 500.0}
    taught.advance(15)
    silent = only(taught)
    taught.advance(500)
    assert only(taught) == silent
    taught.advance(120)
    assert only(taught).value is None
    assert "present value: no reading for" in only(taught).why
    taught.say.update(say)
    taught.advance(45)
    assert "no reading" not in only(taught).why


def test_what_was_foreseen_before_a_silence_is_held_until_it_is_forecast_again(
    taught: World,
) -> None:
    live(taught, 660)
    before, say = only(taught), dict(taught.say)
    assert before.value is not None
    taught.say.clear()
    taught.advance(127)
    taught.say.update(say)
    seen = [only_after(taught, 1) for _ in range(60)]
    assert {one.why for one in seen} == {"forecast", HELD}
    held = [one.value for one in seen if one.why == HELD]
    assert set(held) == {before.value}
    assert len(held) <= 35, "half a minute, and its turn"


def test_a_source_that_speaks_once_in_two_minutes_does_not_hold_a_forecast_for_ever(
    taught: World,
) -> None:
    live(taught, 660)
    taught.advance(12)  # so that it speaks in the middle of half-minutes, of which none is whole
    say = dict(taught.say)
    for _ in range(7):
        taught.say.clear()
        taught.advance(112)
        taught.say.update(say)
        seen = only_after(taught, 8)
    assert seen.value is None
    assert seen.why == HELD.replace("held", "present value")


def test_a_demand_that_falls_to_nothing_keeps_a_pod_while_a_whole_one_is_forecast(
    taught: World,
) -> None:
    """Forty in flight and none since a minute: above the activation threshold, and below it."""

    def desired() -> str | None:
        place = {"namespace": "default", "kind": "Deployment", "name": DEPLOYMENT}
        story = tell_desired(taught.advance(6), **place)
        return story.total.served if story and story.total else None

    live(taught, 60)
    for name in taught.pods:
        taught.say[name] = {"inflight": 0.0}
    taught.advance(60)
    assert (desired(), only(taught).present) == ("1", 0.0)
    for name in taught.pods:
        taught.change(name, target=Target(DEMANDS["inflight"], 500_000))
    assert desired() == "0"
    assert "less than one pod's worth is forecast" in only(taught).why


def test_too_little_is_known_at_first() -> None:
    world = world_of(Mode.ACT)
    live(world, 120)
    found = only(world)
    assert (found.value, found.covered) == (None, None)
    assert found.why.endswith("of 30 minutes known")


def test_nothing_is_forecast_of_nothing() -> None:
    world = world_of(Mode.ACT)
    for name in world.pods:
        world.say[name] = {"inflight": 0.0}
    world.advance(2_400)
    assert (only(world).present, only(world).value) == (0.0, None)


def test_a_workload_that_does_not_ask_costs_nothing() -> None:
    world = world_of(None)
    live(world, 60)
    assert world.snapshot is not None
    assert world.snapshot.foreseen == {}


def pods_of(count: int, namespace: str) -> list[Pod]:
    return [
        serving_pod(
            f"{namespace}-{n}",
            namespace=namespace,
            owners=(Owner("Deployment.apps", f"llm-{n}"),),
            forecast=Mode.OBSERVE,
        )
        for n in range(count)
    ]


def looked_at(seen: Mapping[TotalKey, Foreseen]) -> list[TotalKey]:
    return [key for key, one in seen.items() if one.present is not None]


def test_neither_a_namespace_nor_all_together_take_more_than_their_share() -> None:
    world = World(*(pod for n in range(7) for pod in pods_of(MAX_PER_NAMESPACE + 5, f"team-{n}")))
    world.say = {name: {"inflight": 1.0} for name in world.pods}
    seen = world.advance(20).foreseen
    counts = [sum(key.namespace == f"team-{n}" for key in looked_at(seen)) for n in range(7)]
    assert max(counts) == MAX_PER_NAMESPACE
    assert sum(counts) == MAX_DEMANDS


def test_a_demand_that_finds_no_room_is_told_whose_demands_take_it() -> None:
    world = World(*(pod for n in range(7) for pod in pods_of(MAX_PER_NAMESPACE + 5, f"team-{n}")))
    world.say = {name: {"inflight": 1.0} for name in world.pods}
    seen = world.advance(20).foreseen
    assert len(seen) == len(world.pods)
    crowded = {key: one for key, one in seen.items() if one.doubt is Doubt.NO_ROOM}
    assert len(crowded) == len(world.pods) - MAX_DEMANDS
    words = {one.why for key, one in crowded.items() if key.namespace == "team-0"}
    (why,) = words
    assert "20 of its namespace are forecast already" in why
    (why,) = {one.why for key, one in crowded.items() if key.namespace == "team-6"}
    assert "100 in all are forecast already" in why
    assert all((one.present, one.value) == (None, None) for one in crowded.values())


def test_before_any_complete_total_the_present_one_is_unknown_and_not_nothing() -> None:
    world = world_of(Mode.ACT)
    world.say["llm-0"] = {"inflight": 5.0}
    found = next(iter(world.advance(1).foreseen.values()))
    assert (found.present, found.doubt) == (None, Doubt.YOUNG)
    assert "no total yet" in found.why


def gpu_world(*, seconds: int) -> World:
    """Pods that are busy for about 60 % of the time, for as long as that."""
    eighty = Target(DEMANDS["gpu"], 80_000)
    pods = (serving_pod(f"llm-{n}", target=eighty, forecast=Mode.ACT) for n in range(2))
    world, dice = World(*pods), np.random.default_rng(3)
    for _ in range(seconds // 30):
        for name in world.pods:
            world.say[name] = {"gpu_busy_percent": float(60 + 8 * dice.standard_normal())}
        world.advance(30)
    return world


def test_gpus_that_are_all_busy_are_no_demand_to_learn_from() -> None:
    world = gpu_world(seconds=60)
    world.say = {name: {"gpu_busy_percent": 99.0} for name in world.pods}
    world.advance(300)
    pinned = only(world)
    assert (pinned.doubt, pinned.value) == (Doubt.PINNED, None)
    assert pinned.present == pytest.approx(198.0)
    assert "present value: GPUs are busy for 95 %" in pinned.why
    world.say = {name: {"gpu_busy_percent": 60.0} for name in world.pods}
    world.advance(40)
    assert only(world).doubt is Doubt.YOUNG
    assert "2 of 30 minutes known" in only(world).why, "the five that were pinned are not"


def test_a_forecast_above_full_gpus_is_held_for_ten_minutes() -> None:
    world, foresight = gpu_world(seconds=60), Foresight()

    def look(snapshot: Snapshot) -> Foreseen:
        (found,) = foresight.look(snapshot, lambda _, age: Horizon(age, "soon")).values()
        return found

    assert look(world.advance()).value is None
    (demand,) = foresight._demands.values()
    assert demand.foreseen is not None
    demand.foreseen = msgspec.structs.replace(demand.foreseen, value=300.0)
    world.say = {name: {"gpu_busy_percent": 100.0} for name in world.pods}
    held = look(world.advance(60))
    assert (held.present, held.value, held.doubt) == (200.0, 300.0, Doubt.PINNED)
    assert held.why.startswith("held: GPUs are busy")
    assert look(world.advance(520)).value == 300.0
    assert look(world.advance(60)).value is None


def test_what_is_forecast_is_the_demand_of_the_targets_or_requests_in_flight() -> None:
    gpu = Target(DEMANDS["gpu"], 80_000)
    plain, aimed = serving_pod("a", forecast=Mode.ACT), serving_pod("b", target=gpu)
    (key,) = wishes([plain])
    assert (key.name, key.kind, key.metric) == (DEPLOYMENT, "Deployment.apps", DEMANDS["inflight"])
    assert wishes([aimed]) == {}
    ((key, wish),) = wishes([serving_pod("c", forecast=Mode.ACT, target=gpu)]).items()
    assert (key.metric, wish) == (DEMANDS["gpu"], (Mode.ACT, 80.0))


def test_of_pods_that_disagree_the_most_careful_word_counts() -> None:
    act, observe = serving_pod("a", forecast=Mode.ACT), serving_pod("b", forecast=Mode.OBSERVE)
    assert [mode for mode, _ in wishes([act, observe, serving_pod("c")]).values()] == [Mode.OBSERVE]
    assert wishes([act, serving_pod("d", forecast=Mode.OFF)]) == {}
    ended = serving_pod("e", forecast=Mode.OFF, terminating=True)
    assert [mode for mode, _ in wishes([act, ended]).values()] == [Mode.ACT]


def test_each_demand_has_its_turn_however_many_do_not_ask_any_more() -> None:
    world = World(*pods_of(MAX_PER_NAMESPACE, "default"))
    world.say = {name: {"inflight": 1.0} for name in world.pods}
    snapshot = world.advance(10)
    foresight = Foresight()
    seen = foresight.look(snapshot, lambda _, age: Horizon(age, "soon"))
    assert len(seen) == MAX_PER_NAMESPACE
    assert 0 < len(looked_at(seen)) < MAX_PER_NAMESPACE
    seen = foresight.look(snapshot, lambda _, age: Horizon(age, "soon"))
    assert len(looked_at(seen)) == MAX_PER_NAMESPACE


def test_what_nobody_wants_any_more_makes_room_for_what_somebody_does() -> None:
    before = [pod for n in range(5) for pod in pods_of(MAX_PER_NAMESPACE, f"gone-{n}")]
    world = World(*before)
    world.say = {name: {"inflight": 1.0} for name in world.pods}
    foresight, horizon = Foresight(), lambda _, age: Horizon(age, "soon")
    foresight.look(world.advance(10), horizon)
    later = World(*pods_of(2, "new"))
    later.say = {name: {"inflight": 1.0} for name in later.pods}
    seen = foresight.look(later.advance(20), horizon)
    assert {key.namespace for key in seen} == {"new"}
    assert len(seen) == 2


def warm(world: World) -> Forecaster:
    """Return one that has learnt for an hour."""
    found, now = Forecaster(), WALL + world.now - START
    for ago in range(3_600, 0, -30):
        found.observe(now - ago, 40.0)
    return found


def test_what_was_recalled_takes_the_place_of_what_has_just_begun() -> None:
    world = world_of(Mode.ACT)
    live(world, 60)
    ((key, _),) = world.foresight.forecasters()
    before = warm(world)
    world.foresight.recall(key, before)
    world.advance(6)
    assert world.foresight.forecasters() == [(key, before)]
    world.foresight.recall(key, warm(world))
    world.advance(6)
    assert world.foresight.forecasters() == [(key, before)]


def test_what_was_recalled_of_a_workload_without_pods_waits_and_makes_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapter.model.foresight.MAX_DEMANDS", 2)
    world = world_of(None)
    live(world, 60)
    view = METRICS["llm_inference_inflight_requests"].view
    keys = [
        TotalKey("default", "Deployment.apps", name, "llm_inference_inflight_requests", view)
        for name in ("at-night", "other", "beyond")
    ]
    for key in keys:
        world.foresight.recall(key, warm(world))
    world.advance(6)
    assert [key for key, _ in world.foresight.forecasters()] == keys[:2]
    for name in world.pods:
        world.change(name, forecast=Mode.ACT)
    world.advance(6)
    assert [key.name for key, _ in world.foresight.forecasters()] == ["other", DEPLOYMENT]


def test_what_was_missed_is_caught_up_with_of_one_demand_a_look() -> None:
    world = World(*pods_of(3, "default"))
    world.say = {name: {"inflight": 20.0} for name in world.pods}
    snapshot = world.advance(30)
    packed = remember(warm(world))
    assert packed is not None
    foresight, horizon = Foresight(), lambda _, age: Horizon(age, "soon")
    for key in wishes(world.pods.values()):
        forecaster = recall(packed, WALL + world.now - START)
        assert forecaster is not None
        foresight.recall(key, forecaster)
    counts = [len(looked_at(foresight.look(snapshot, horizon))) for _ in range(3)]
    assert counts == [1, 2, 3]


class Broken(Forecaster):
    """Fails as a learner with a figure that cannot be would."""

    def observe(self, now: float, demand: float | None) -> None:
        raise ZeroDivisionError(f"{demand} at {now}")


def test_a_forecast_that_fails_begins_anew_and_touches_no_other() -> None:
    world = World(*pods_of(3, "default"))
    world.say = {name: {"inflight": 20.0} for name in world.pods}
    first, *_ = wishes(world.pods.values())
    world.foresight.recall(first, Broken())
    seen = world.advance(2).foreseen
    assert [one.doubt for one in seen.values()] == [Doubt.FAILED, Doubt.YOUNG, Doubt.YOUNG]
    assert "present value: it failed and begins anew (ZeroDivisionError: " in seen[first].why
    assert [one.present for one in seen.values()] == [None, 20.0, 20.0]
    seen = world.advance(6).foreseen
    assert [one.present for one in seen.values()] == [20.0] * 3
    assert seen[first].why.endswith("of 30 minutes known")
