"""The forecast of a demand as an HPA asks for it: of pods, of objects, and as External metric."""

from __future__ import annotations

import dataclasses
import json

import pytest
from msgspec import structs

from adapter.api.external import External
from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model.catalogue import METRICS
from adapter.model.fleet import Owner
from adapter.model.foreseen import Doubt, Foreseen, Mode
from adapter.model.owners import Owners
from adapter.model.selector import parse
from adapter.model.snapshot import TotalKey
from adapter.model.target import DEMANDS, FORECASTS
from tests.adapter.api.test_custom import Asking
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

INFLIGHT = DEMANDS["inflight"]
AHEAD = f"{INFLIGHT}_forecast"
PODS = f"default/pods/*/{AHEAD}"
WHOLE = f"default/deployments.apps/{DEPLOYMENT}/{AHEAD}"
BELIEVED = Foreseen(Mode.ACT, 33.0, 64.5, 64.5, 0.95, "90 s", "forecast")


@pytest.fixture
def asking() -> Asking:
    """Two pods with 33 requests in flight, and of other workloads one pod each."""
    world = World(
        serving_pod("llm-0", forecast=Mode.ACT),
        serving_pod("llm-1", forecast=Mode.ACT),
        serving_pod("plain-0", owners=(Owner("Deployment.apps", "plain"),), labels={"app": "x"}),
        serving_pod("alone", owners=(), labels={"app": "y"}),
    )
    world.say["llm-0"] = {"inflight": 30.0, "gpu_busy_percent": 60.0}
    world.say["llm-1"] = {"inflight": 3.0, "gpu_busy_percent": 60.0}
    world.say["plain-0"] = world.say["alone"] = {"inflight": 8.0}
    world.advance(40)
    return Asking(world)


def foresee(asking: Asking, foreseen: Foreseen, metric: str = INFLIGHT) -> None:
    """From now on this is what the Snapshot has of the Deployment."""
    assert asking.world.snapshot is not None
    key = TotalKey("default", "Deployment.apps", DEPLOYMENT, metric, METRICS[metric].view)
    asking.world.snapshot = dataclasses.replace(asking.world.snapshot, foreseen={key: foreseen})


def external(asking: Asking, metric: str, selector: str) -> str:
    served = External(asking.answers, Owners.of(""))
    place = {"namespace": "default", "metric": metric}
    found = json.loads(served.answer(asking.answers.snapshot(), place, {"labelSelector": selector}))
    (item,) = found["items"]
    assert item["metricName"] == metric.lower()
    return str(item["value"])


def test_an_object_and_an_external_metric_have_the_forecast_total(asking: Asking) -> None:
    foresee(asking, BELIEVED)
    (item,) = asking(WHOLE)["items"]
    assert (item["value"], item["metric"]["name"], item["windowSeconds"]) == ("64500m", AHEAD, 15)
    assert external(asking, AHEAD, f"workload={DEPLOYMENT}") == "64500m"
    assert external(asking, AHEAD.upper(), f"workload={DEPLOYMENT}") == "64500m"
    assert asking.values(f"default/deployments.apps/*/{AHEAD}") == {DEPLOYMENT: "64500m"}


def test_each_served_pod_has_its_part_and_all_together_the_total(asking: Asking) -> None:
    foresee(asking, BELIEVED)
    of_llm = {"labelSelector": "app=llm-inference"}
    assert asking.values(PODS, **of_llm) == {"llm-0": "32250m", "llm-1": "32250m"}
    (item,) = asking(f"default/pods/llm-1/{AHEAD}")["items"]
    assert (item["value"], item["metric"]["name"]) == ("32250m", AHEAD)
    foresee(asking, structs.replace(BELIEVED, value=64.501))
    assert asking.values(PODS, **of_llm) == {"llm-0": "32251m", "llm-1": "32251m"}


def test_a_pod_that_loads_takes_no_part_of_the_total(asking: Asking) -> None:
    asking.world.pods["llm-2"] = serving_pod(
        "llm-2", forecast=Mode.ACT, model_ready=False, ready_changed_at=0.0
    )
    asking.world.advance(1)
    foresee(asking, BELIEVED)
    assert asking.values(PODS) == {"llm-0": "32250m", "llm-1": "32250m"}


def test_pods_whose_workload_is_not_forecast_are_left_out(asking: Asking) -> None:
    foresee(asking, BELIEVED)
    assert asking.values(PODS) == {"llm-0": "32250m", "llm-1": "32250m"}


def test_a_stat_asks_for_the_same_under_the_metrics_own_name(asking: Asking) -> None:
    foresee(asking, BELIEVED)
    ahead, own = {"metricLabelSelector": "stat=forecast"}, WHOLE.removesuffix("_forecast")
    (item,) = asking(own, **ahead)["items"]
    assert (item["value"], item["metric"]["name"]) == ("64500m", INFLIGHT)
    assert asking.values(WHOLE, **ahead) == {DEPLOYMENT: "64500m"}
    assert asking.values(PODS.removesuffix("_forecast"), **ahead)["llm-0"] == "32250m"
    assert external(asking, INFLIGHT, f"workload={DEPLOYMENT},stat=forecast") == "64500m"


@pytest.mark.parametrize(
    "foreseen",
    [
        structs.replace(BELIEVED, mode=Mode.OBSERVE),
        structs.replace(BELIEVED, value=None, doubt=Doubt.YOUNG),
        structs.replace(BELIEVED, value=12.0),
        Foreseen(Mode.ACT, None, None, None, None, "", "no room", Doubt.NO_ROOM),
    ],
)
def test_what_is_served_is_the_present_value_where_the_forecast_may_not_raise_it(
    asking: Asking, foreseen: Foreseen
) -> None:
    foresee(asking, foreseen)
    assert asking.values(WHOLE) == {DEPLOYMENT: "33"}
    assert asking.values(PODS) == {"llm-0": "16500m", "llm-1": "16500m"}
    assert external(asking, AHEAD, f"workload={DEPLOYMENT}") == "33"


def test_silence_takes_nothing_from_the_total_that_the_pods_share(asking: Asking) -> None:
    foresee(asking, structs.replace(BELIEVED, value=None))
    assert asking.values(PODS)["llm-0"] == "16500m"
    asking.world.asked.update(asking.asked.totals(asking.world.now))
    asking.world.advance()
    del asking.world.say["llm-0"]
    asking.world.advance(90)
    foresee(asking, structs.replace(BELIEVED, value=None))
    assert asking.values(PODS) == {"llm-1": "33"}
    asking.world.say.clear()
    asking.world.advance(90)
    foresee(asking, BELIEVED)
    with pytest.raises(NoValue, match="fewer than half"):
        asking(PODS)
    with pytest.raises(NoValue, match="fewer than half"):
        asking(WHOLE)


def test_whoever_has_not_asked_for_a_forecast_is_told_how_to(asking: Asking) -> None:
    asking.world.pods = {
        name: structs.replace(pod, forecast=None) for name, pod in asking.world.pods.items()
    }
    asking.world.advance()
    opt_in = r"annotate its pod template forescale\.dev/forecast: observe"
    for path in (WHOLE, PODS, f"default/deployments.apps/*/{AHEAD}"):
        with pytest.raises(NotFound, match=opt_in):
            asking(path)
    with pytest.raises(NotFound, match=opt_in):
        external(asking, AHEAD, f"workload={DEPLOYMENT}")
    with pytest.raises(NotFound, match=r"forescale\.dev/target: gpu=NUMBER"):
        asking(f"default/deployments.apps/{DEPLOYMENT}/nvidia_gpu_utilization_forecast")


def test_how_to_opt_in_is_told_while_the_pods_have_no_value_yet_too(asking: Asking) -> None:
    for name in ("llm-0", "llm-1"):
        loading = {"model_ready": False, "ready_changed_at": 0.0, "forecast": None}
        asking.world.change(name, **loading)
    asking.world.advance()
    for path in (WHOLE, PODS):
        with pytest.raises(NotFound, match="annotate its pod template"):
            asking(path)


def test_another_demand_than_the_one_that_is_forecast_needs_its_target(asking: Asking) -> None:
    with pytest.raises(NotFound, match=r"but not nvidia_gpu_utilization: annotate .* gpu=NUMBER"):
        asking(f"default/deployments.apps/{DEPLOYMENT}/nvidia_gpu_utilization_forecast")


def test_an_object_that_is_not_the_topmost_owner_is_told_which_is(asking: Asking) -> None:
    asking.world.selectors = {("default", Owner("Service", "llm")): (parse("app=llm-inference"),)}
    asking.world.advance()
    for path in ("services/llm", f"replicasets.apps/{DEPLOYMENT}-1"):
        with pytest.raises(NotFound, match=f"only the topmost owner .*, Deployment {DEPLOYMENT}"):
            asking(f"default/{path}/{AHEAD}")


@pytest.mark.parametrize("metric", sorted(set(METRICS) - set(DEMANDS.values())))
def test_what_follows_from_the_replicas_has_no_forecast(asking: Asking, metric: str) -> None:
    closed = f"{metric} is not forecast: it falls when pods are added"
    with pytest.raises(NotFound, match=closed):
        asking(f"default/pods/*/{metric}_forecast")
    with pytest.raises(NotFound, match=closed):
        external(asking, metric, f"workload={DEPLOYMENT},stat=forecast")


def test_every_demand_can_be_asked_for(asking: Asking) -> None:
    for name, metric in FORECASTS.items():
        if metric == DEMANDS["arrival_rate"]:
            continue  # nothing has finished here
        total = structs.replace(BELIEVED, value=500.0)
        foresee(asking, total, metric)
        assert asking.values(f"default/deployments.apps/{DEPLOYMENT}/{name}") == {DEPLOYMENT: "500"}


@pytest.mark.parametrize("selector", ["window=60s", "stat=max", "agg=mean", "model=qwen"])
def test_a_forecast_has_no_views(asking: Asking, selector: str) -> None:
    foresee(asking, BELIEVED)
    for path in (WHOLE, PODS):
        with pytest.raises(BadRequest, match="leave the rest out"):
            asking(path, metricLabelSelector=selector)
    with pytest.raises(BadRequest, match="leave the rest out"):
        external(asking, AHEAD, f"workload={DEPLOYMENT},{selector}")
