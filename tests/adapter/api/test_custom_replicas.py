"""forescale_desired_replicas: a workload's total by its target, as Object and External metric."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from adapter.api.external import External
from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model.catalogue import METRICS
from adapter.model.fleet import Owner
from adapter.model.foreseen import Foreseen, Mode
from adapter.model.owners import Owners
from adapter.model.selector import parse
from adapter.model.snapshot import TotalKey
from adapter.model.target import DEMANDS, DESIRED_REPLICAS, Target
from tests.adapter.api.test_custom import Asking
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

PATH = f"default/deployments.apps/{DEPLOYMENT}/{DESIRED_REPLICAS}"
EVERY = f"default/deployments.apps/*/{DESIRED_REPLICAS}"
SIXTEEN = Target(DEMANDS["inflight"], 16_000)


@pytest.fixture
def asking() -> Asking:
    """Two pods with 33 requests in flight and 120 % of GPU time, at a target of 16 requests."""
    world = World(serving_pod("llm-0", target=SIXTEEN), serving_pod("llm-1", target=SIXTEEN))
    world.say["llm-0"] = {"inflight": 30.0, "gpu_busy_percent": 60.0}
    world.say["llm-1"] = {"inflight": 3.0, "gpu_busy_percent": 60.0}
    world.advance(40)
    return Asking(world)


def external(asking: Asking, selector: str) -> dict[str, Any]:
    served = External(asking.answers, Owners.of(""))
    place = {"namespace": "default", "metric": DESIRED_REPLICAS.upper()}
    body = served.answer(asking.answers.snapshot(), place, {"labelSelector": selector})
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_total_is_divided_by_the_target_and_rounded_up(asking: Asking) -> None:
    (item,) = asking(PATH)["items"]
    assert item["value"] == "3"
    assert item["metric"]["name"] == DESIRED_REPLICAS
    assert item["describedObject"]["name"] == DEPLOYMENT
    assert item["timestamp"] == "2023-11-14T22:14:00Z"


def test_an_external_metric_is_the_same_figure(asking: Asking) -> None:
    (item,) = external(asking, f"workload={DEPLOYMENT}")["items"]
    assert (item["value"], item["metricName"]) == ("3", DESIRED_REPLICAS)
    assert item["metricLabels"] == {"workload": DEPLOYMENT}


def test_of_pods_with_different_targets_the_most_replicas_count(asking: Asking) -> None:
    asking.world.change("llm-1", target=Target(DEMANDS["inflight"], 8_000))
    asking.world.advance()
    assert asking.values(PATH) == {DEPLOYMENT: "5"}
    asking.world.change("llm-1", target=Target(DEMANDS["gpu"], 10_000))
    asking.world.advance()
    assert asking.values(PATH) == {DEPLOYMENT: "12"}


def test_the_target_of_a_pod_that_has_ended_is_past(asking: Asking) -> None:
    asking.world.change("llm-1", target=Target(DEMANDS["inflight"], 1_000), terminating=True)
    asking.world.advance()
    assert asking.values(PATH) == {DEPLOYMENT: "2"}


def test_a_silence_of_all_sources_asks_for_no_other_replicas_by_a_forecast_that_acts() -> None:
    """Asked every second, by an HPA without a window: each value and each refusal would count."""
    four = Target(DEMANDS["inflight"], 4_000)
    world = World(*(serving_pod(f"llm-{n}", target=four, forecast=Mode.ACT) for n in range(3)))
    asking, dice = Asking(world), np.random.default_rng(2)
    live(world, 1_860, dice)
    for silent_seconds in (3, 75, 250):
        live(world, 120, dice)
        world.say = {name: {"inflight": 20.0} for name in world.pods}
        before, present = told(asking, 16)[-1], 15
        assert isinstance(before, int)
        assert before > present, "the forecast acts"
        say, world.say = world.say, {}
        during = told(asking, silent_seconds)
        assert {one for one in during if isinstance(one, int)} == {before}
        reasons = {one for one in during if isinstance(one, str)}
        assert bool(reasons) == (silent_seconds > 60), "the hold"
        assert all(" is known for 0 of 3 pods" in one for one in reasons)
        world.say = say
        after = told(asking, 40)
        lowest = min(one for one in after if isinstance(one, int))
        assert lowest >= min(before, int(after[-1])) > present


def live(world: World, seconds: int, dice: np.random.Generator) -> None:
    """Every pod has about twenty requests in flight, another figure every half minute."""
    for _ in range(seconds // 30):
        level = 20.0 * np.exp(0.1 * dice.standard_normal(len(world.pods)))
        world.say = {
            name: {"inflight": float(one)} for name, one in zip(world.pods, level, strict=True)
        }
        world.advance(30)


def told(asking: Asking, seconds: int) -> list[int | str]:
    """Return the replicas of each second, or why there are none."""
    found: list[int | str] = []
    for _ in range(seconds):
        asking.world.asked.update(asking.asked.totals(asking.world.now))
        asking.world.advance(1)
        try:
            found.append(int(asking.values(PATH)[DEPLOYMENT]))
        except NoValue as error:
            found.append(str(error))
    return found


def test_an_idle_workload_asks_for_nothing(asking: Asking) -> None:
    for name in ("llm-0", "llm-1"):
        asking.world.say[name] = {"inflight": 0.0}
    asking.world.advance(60)
    assert asking.values(PATH) == {DEPLOYMENT: "0"}


def test_a_silent_pod_takes_no_replica_away(asking: Asking) -> None:
    assert asking.values(PATH) == {DEPLOYMENT: "3"}
    asking.world.asked.update(asking.asked.totals(asking.world.now))
    asking.world.advance()
    del asking.world.say["llm-0"]
    for _ in range(40):
        asking.world.advance(3)
        assert int(asking.values(PATH)[DEPLOYMENT]) >= 3


def test_a_workload_that_is_blind_has_no_replicas(asking: Asking) -> None:
    asking.world.say.clear()
    asking.world.advance(120)
    with pytest.raises(NoValue, match="0 of 2 pods"):
        asking(PATH)


def test_without_a_target_it_is_told_how_to_set_one(asking: Asking) -> None:
    for name in ("llm-0", "llm-1"):
        asking.world.change(name, target=None)
    asking.world.advance()
    with pytest.raises(NotFound, match=r"annotate its pod template forescale\.dev/target"):
        asking(PATH)
    with pytest.raises(NotFound, match="for example inflight=16"):
        external(asking, f"workload={DEPLOYMENT}")
    assert asking(EVERY)["items"] == []


def test_a_workload_without_pods_is_told_so(asking: Asking) -> None:
    with pytest.raises(NotFound, match="Deployment `none` in namespace `default` has no pod"):
        asking(f"default/deployments.apps/none/{DESIRED_REPLICAS}")


def test_all_workloads_of_a_namespace_can_be_asked_for_at_once(asking: Asking) -> None:
    other = serving_pod("other-0", owners=(Owner("Deployment.apps", "other"),))
    asking.world.pods["other-0"] = other
    asking.world.advance()
    assert asking.values(EVERY) == {DEPLOYMENT: "3"}


def test_a_service_has_the_replicas_of_its_pods(asking: Asking) -> None:
    asking.world.selectors = {("default", Owner("Service", "llm")): (parse("app"),)}
    asking.world.advance()
    assert asking.values(f"default/services/llm/{DESIRED_REPLICAS}") == {"llm": "3"}
    (item,) = external(asking, "workload=llm,kind=Service")["items"]
    assert item["value"] == "3"


@pytest.mark.parametrize(
    "path",
    [f"default/pods/*/{DESIRED_REPLICAS}", f"default/{DESIRED_REPLICAS}"]
    + [f"default/nodes/gpu-0/{DESIRED_REPLICAS}"],
)
def test_pods_namespaces_and_nodes_have_no_replicas(asking: Asking, path: str) -> None:
    with pytest.raises(NotFound, match="of type Object or External"):
        asking(path)


def test_there_is_no_view_of_replicas(asking: Asking) -> None:
    with pytest.raises(BadRequest, match="they follow from the pods' annotation"):
        asking(PATH, metricLabelSelector="stat=max")
    with pytest.raises(BadRequest, match="`stat` is no key"):
        external(asking, f"workload={DEPLOYMENT},stat=max")
    with pytest.raises(NotFound, match=f"did you mean {DESIRED_REPLICAS}"):
        asking(f"default/deployments.apps/{DEPLOYMENT}/forescale_desired_replica")


def test_a_forecast_raises_the_replicas_only_where_it_acts(asking: Asking) -> None:
    snapshot = asking.world.snapshot
    assert snapshot is not None
    view = METRICS[SIXTEEN.metric].view
    key = TotalKey("default", "Deployment.apps", DEPLOYMENT, SIXTEEN.metric, view)
    for mode, wanted in ((Mode.OBSERVE, "3"), (Mode.ACT, "5")):
        foreseen = Foreseen(mode, 33.0, 64.5, 64.5, 0.95, "90 s", "forecast")
        asking.world.snapshot = dataclasses.replace(snapshot, foreseen={key: foreseen})
        assert asking.values(PATH) == {DEPLOYMENT: wanted}
        assert asking.values(EVERY) == {DEPLOYMENT: wanted}
        (item,) = external(asking, f"workload={DEPLOYMENT}")["items"]
        assert item["value"] == wanted
