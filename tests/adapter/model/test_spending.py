"""GPU-seconds: every second of a held GPU is counted once, and silence is no idleness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model import spending
from adapter.model.exits import OTHERS
from adapter.model.fleet import Pod
from adapter.model.holding import Holding, Node
from adapter.model.spending import GAP_SECONDS, LOOK_SECONDS, Account, Spending, Spent, gpus_of
from tests.adapter.model.world import HOLD_SECONDS, World, serving_pod


def gpu_pod(name: str, gpus: int = 1, **changes: object) -> Pod:
    return serving_pod(name, **{"gpus": {"llm": gpus}, "node": "n1", **changes})


def spent(world: World, seconds: int, ledger: Spending | None = None) -> Spending:
    """Let the world go on for so long, with a look a second."""
    ledger = ledger or Spending()
    for _ in range(seconds):
        ledger.look(world.advance())
    return ledger


def uses(one: Spent) -> tuple[float, float, float, float]:
    return one.busy_seconds, one.idle_seconds, one.loading_seconds, one.unknown_seconds


def the_one(ledger: Spending) -> Spent:
    (one,) = ledger.told()
    return one


def test_gpus_that_work_are_busy_and_those_that_do_nothing_are_idle() -> None:
    world = World(gpu_pod("a", 2), gpu_pod("b", 1))
    world.say = {"a": {"gpu_busy_percent": 80.0}, "b": {"gpu_busy_percent": 0.0}}
    one = the_one(spent(world, 101))
    assert uses(one) == (200.0, 100.0, 0.0, 0.0)
    assert one.gpus == 3
    assert one.account.workload.name == "llm-inference-deployment"


def test_a_moment_without_a_kernel_is_not_idle() -> None:
    world, ledger = World(gpu_pod("a")), Spending()
    for second in range(101):
        world.say = {"a": {"gpu_busy_percent": 50.0 * ((second + 1) % 2)}}
        ledger.look(world.advance())
    assert uses(the_one(ledger)) == (100.0, 0.0, 0.0, 0.0)


def test_a_pod_that_is_silent_is_unknown_after_the_hold_and_never_idle() -> None:
    world = World(gpu_pod("a"))
    world.say = {"a": {"gpu_busy_percent": 80.0}}
    ledger = spent(world, 11)
    world.say = {}
    spent(world, int(HOLD_SECONDS) + 40, ledger)
    busy, idle, loading, unknown = uses(the_one(ledger))
    assert (busy + unknown, idle, loading) == (110.0, 0.0, 0.0)
    assert 35.0 <= unknown <= 45.0


def test_a_pod_without_a_single_reading_is_unknown() -> None:
    assert uses(the_one(spent(World(gpu_pod("a")), 51))) == (0.0, 0.0, 0.0, 50.0)


def test_a_gpu_is_paid_for_while_its_model_loads_and_while_its_pod_ends() -> None:
    world = World(gpu_pod("a", model_ready=False, model_started_at=None))
    ledger = spent(world, 51)
    assert uses(the_one(ledger)) == (0.0, 0.0, 50.0, 0.0)
    world.change("a", terminating=True)
    spent(world, 10, ledger)
    assert uses(the_one(ledger)) == (0.0, 0.0, 55.0, 5.0)


@pytest.mark.parametrize(
    ("changes", "gpus"),
    [
        ({}, 2),
        ({"node": None}, 0),
        ({"phase": "Succeeded"}, 0),
        ({"terminating": True}, 2),
        ({"holding": Holding(sharing="time-slicing")}, 0),
        ({"gpus": {}}, 0),
        ({"gpus": {}, "holding": Holding(ids=("MIG-1", "MIG-2"), how="claim")}, 0),
        ({"gpus": {}, "holding": Holding(ids=("GPU-1", "GPU-2", "GPU-3"), how="claim")}, 3),
    ],
)
def test_a_pod_holds_the_gpus_that_nobody_else_can_have(
    changes: dict[str, object], gpus: int
) -> None:
    pod = serving_pod("a", **{"gpus": {"x": 1, "y": 1}, "node": "n1", **changes})
    assert gpus_of(pod) == gpus


def test_what_was_held_is_kept_when_the_pods_are_gone() -> None:
    world = World(gpu_pod("a"))
    ledger = spent(world, 11)
    world.pods.clear()
    spent(world, 20, ledger)
    one = the_one(ledger)
    assert (one.gpus, sum(uses(one))) == (0, 15.0)


def test_a_time_in_which_nobody_looked_is_unknown() -> None:
    world = World(gpu_pod("a"))
    world.say = {"a": {"gpu_busy_percent": 0.0}}
    ledger = spent(world, 1)
    world.now += GAP_SECONDS
    spent(world, 1, ledger)
    assert uses(the_one(ledger)) == (0.0, 0.0, 0.0, GAP_SECONDS + 1)


def test_products_and_spot_nodes_have_accounts_of_their_own() -> None:
    world = World(gpu_pod("a"), gpu_pod("b", node="n2"))
    world.nodes = {"n1": Node(product="H100", spot=True)}
    accounts = [one.account for one in spent(world, 1).told()]
    workload = accounts[0].workload
    assert accounts == [Account(workload, "H100", spot=True), Account(workload, None, spot=None)]


def test_hours_of_the_day_are_those_of_utc() -> None:
    world = World(gpu_pod("a"))
    world.say = {"a": {"gpu_busy_percent": 0.0}}
    ledger = spent(world, 21)
    hour = int(world.advance().wall // 3600) % 24
    one = the_one(ledger)
    assert one.held_by_hour[hour] == one.idle_by_hour[hour] == sum(one.held_by_hour) == 20.0


def test_the_number_of_workloads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "MAX_WORKLOADS", 2)
    ledger = spent(World(*(gpu_pod(f"p{n}", owners=()) for n in range(5))), 11)
    found = {one.account.workload: one for one in ledger.told()}
    assert len(found) == 3
    assert sum(uses(found[OTHERS])) == 30.0


@given(st.lists(st.sampled_from([None, 0.0, 1.0, 50.0]), min_size=2, max_size=40))
def test_every_second_is_counted_once(said: list[float | None]) -> None:
    world, ledger = World(gpu_pod("a", 2)), Spending()
    for percent in said:
        world.say = {} if percent is None else {"a": {"gpu_busy_percent": percent}}
        ledger.look(world.advance())
    one = the_one(ledger)
    looked = (len(said) - 1) // int(LOOK_SECONDS) * LOOK_SECONDS
    assert sum(uses(one)) == sum(one.held_by_hour) == 2 * looked
    assert sum(one.idle_by_hour) == one.idle_seconds
