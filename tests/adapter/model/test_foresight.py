"""Demands of workloads that ask are forecast; held while pods are silent, bounded in number."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.model.fleet import Owner, Pod
from adapter.model.foreseen import Foreseen, Mode
from adapter.model.foresight import MAX_DEMANDS, MAX_PER_NAMESPACE, Foresight, wishes
from adapter.model.starting import Horizon
from adapter.model.target import DEMANDS, Target
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

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


def test_neither_a_namespace_nor_all_together_take_more_than_their_share() -> None:
    world = World(*(pod for n in range(7) for pod in pods_of(MAX_PER_NAMESPACE + 5, f"team-{n}")))
    world.say = {name: {"inflight": 1.0} for name in world.pods}
    snapshot = world.advance(20)
    counts = [sum(key.namespace == f"team-{n}" for key in snapshot.foreseen) for n in range(7)]
    assert max(counts) == MAX_PER_NAMESPACE
    assert sum(counts) == MAX_DEMANDS


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
    assert 0 < len(seen) < MAX_PER_NAMESPACE
    seen = foresight.look(snapshot, lambda _, age: Horizon(age, "soon"))
    assert len(seen) == MAX_PER_NAMESPACE


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
