"""GPU-seconds as a metric: each workload's, by product and state, seen from its first second on."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from adapter.loop import Loop
from adapter.model.fleet import Fleet
from adapter.model.holding import Node
from adapter.model.spending import Spending
from adapter.settings import Model
from adapter.spentcounter import SpentCounter
from adapter.telemetry import Metrics
from tests.adapter.model.test_spending import gpu_pod, spent
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, START, WALL, World
from tests.adapter.test_loop import Delivered, nothing_asked


def figures(ledger: Spending) -> dict[tuple[str, str, str, str], float]:
    """Seconds by workload, product, spot and state."""
    (family,) = SpentCounter(ledger).collect()
    assert family.type == "counter"
    assert {one.labels["namespace"] for one in family.samples} <= {NAMESPACE}
    keys = ("workload", "product", "spot", "state")
    return {tuple(one.labels[key] for key in keys): one.value for one in family.samples}  # type: ignore[misc]


def test_each_state_is_a_series_from_the_first_second_on() -> None:
    world = World(gpu_pod("a", 2))
    world.nodes = {"n1": Node(product="H100", spot=True)}
    ledger = spent(world, 1)
    own = (DEPLOYMENT, "H100", "true")
    states = ("busy", "idle", "loading", "unknown")
    assert figures(ledger) == {(*own, state): 0.0 for state in states}
    world.say = {"a": {"gpu_busy_percent": 80.0}}
    spent(world, 10, ledger)
    assert figures(ledger)[*own, "busy"] == 10.0
    assert figures(ledger)[*own, "unknown"] == 10.0


def test_what_nodes_do_not_say_is_an_empty_label() -> None:
    assert (DEPLOYMENT, "", "", "busy") in figures(spent(World(gpu_pod("a")), 1))


def test_before_a_gpu_is_held_there_is_no_series() -> None:
    assert figures(Spending()) == {}


def test_a_name_that_a_tenant_chose_breaks_no_line() -> None:
    registry = CollectorRegistry()
    hostile = 'a"} 1\n'
    world = World(gpu_pod(hostile, owners=()))
    registry.register(SpentCounter(spent(world, 1)))
    lines = generate_latest(registry).decode().splitlines()
    assert sum(not one.startswith("#") for one in lines) == 4


def test_the_loop_shows_what_it_charges() -> None:
    fleet, metrics = Fleet.of([gpu_pod("a")], 1), Metrics()
    loop = Loop(Model(), lambda: fleet, Delivered(), nothing_asked, metrics)
    for seconds in (0.0, 5.0, 10.0):
        loop.tick(START + seconds, WALL + seconds)
    labels = {"namespace": NAMESPACE, "kind": "Deployment", "workload": DEPLOYMENT}
    labels |= {"product": "", "spot": "", "state": "unknown"}
    found = metrics.registry.get_sample_value("forescale_adapter_gpu_seconds_total", labels)
    assert found == 10.0
