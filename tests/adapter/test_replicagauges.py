"""How many pods a workload has and asks for, as metrics: gone with it, no 0 for unknown."""

from __future__ import annotations

from adapter.model.overview import row
from adapter.replicagauges import ReplicaGauges
from adapter.telemetry import Metrics
from tests.adapter.model.test_decisions import LLM, world
from tests.adapter.model.world import DEPLOYMENT
from tests.adapter.ops.statuspage import Scene, busy

ACTUAL, DESIRED = (f"forescale_adapter_workload_{name}replicas" for name in ("", "desired_"))


def figures(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    (family,) = [one for one in metrics.registry.collect() if one.name == name]
    asked = ("namespace", "kind", "workload")
    return {tuple(one.labels[key] for key in asked): one.value for one in family.samples}


NAMED = ("default", "Deployment", DEPLOYMENT)


def test_what_is_asked_for_is_none_while_nothing_is_known() -> None:
    metrics, made = Metrics(), world()
    gauges = ReplicaGauges(metrics)
    assert made.snapshot is not None
    gauges.show([row(made.snapshot, LLM)])
    assert figures(metrics, ACTUAL) == {NAMED: 2}
    assert figures(metrics, DESIRED) == {NAMED: 4}  # 16 in flight, 5 each
    made.say = {}
    gauges.show([row(made.advance(200), LLM)])
    assert (figures(metrics, ACTUAL), figures(metrics, DESIRED)) == ({NAMED: 2}, {})
    gauges.show([])
    assert figures(metrics, ACTUAL) == {}


async def test_they_follow_the_looks_of_the_status_page() -> None:
    metrics, scene = Metrics(), Scene(busy("a"))
    scene.status.show = ReplicaGauges(metrics).show
    await scene.look(5)
    assert figures(metrics, ACTUAL) == {NAMED: 2}
    assert figures(metrics, DESIRED) == {}  # without a target
    scene.world.pods.clear()
    await scene.look(5)
    assert figures(metrics, ACTUAL) == {}
