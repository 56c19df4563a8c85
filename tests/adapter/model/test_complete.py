"""All complete totals at once are what each of them is alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter.model.catalogue import METRICS, RAW, Agg
from adapter.model.complete import complete_totals
from adapter.model.fleet import Owner
from adapter.model.selector import parse
from adapter.model.snapshot import TotalKey
from tests.adapter.model.world import NAMESPACE, WALL, World, serving_pod

AGGREGATES = (Agg.SUM, Agg.MEAN, Agg.MAX)
PENDING, BUSY = "llm_inference_pending_requests", "nvidia_gpu_utilization"


def key(name: str, metric: str = PENDING, agg: Agg = Agg.SUM, kind: str = "Job.batch") -> TotalKey:
    return TotalKey(NAMESPACE, kind, name, metric, RAW, agg=agg)


def world_of(levels: dict[str, list[float]]) -> World:
    pods = {
        f"{owner}-{number}": Owner("Job.batch", owner)
        for owner, values in levels.items()
        for number in range(len(values))
    }
    world = World(*(serving_pod(name, owners=(owner,)) for name, owner in pods.items()))
    for owner, values in levels.items():
        for number, value in enumerate(values):
            world.say[f"{owner}-{number}"] = {"pending": value}
    return world


def test_each_object_has_its_own_value() -> None:
    world = world_of({"a": [1.0, 2.0], "b": [5.0], "c": [0.0, 0.0, 0.0]})
    seen = world.advance()
    keys = [key(name, agg=agg) for name in "abc" for agg in AGGREGATES]
    found = complete_totals(seen, [*keys, key("nobody")])
    assert list(found.values()) == [3.0, 1.5, 2.0, 5.0, 5.0, 5.0, 0.0, 0.0, 0.0]


def test_an_object_with_a_pod_that_is_not_fresh_is_left_out_and_harms_no_other() -> None:
    world = world_of({"a": [1.0, 2.0], "b": [5.0]})
    world.advance()
    del world.say["a-1"]
    seen = world.advance(10)
    assert complete_totals(seen, [key("a"), key("b")]) == {key("b"): 5.0}
    assert complete_totals(seen, [key("a", BUSY), key("b", BUSY)]) == {}
    assert complete_totals(seen, []) == {}


def test_pods_that_load_are_not_expected_and_two_objects_may_share_pods() -> None:
    world = world_of({"a": [1.0, 2.0]})
    world.change("a-1", model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
    world.selectors = {(NAMESPACE, Owner("Service", "s")): (parse("app=llm-inference"),)}
    service = key("s", kind="Service")
    assert complete_totals(world.advance(), [key("a"), service]) == {key("a"): 1.0, service: 1.0}


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=1, max_size=4), min_size=1, max_size=5))
def test_it_is_the_value_that_is_answered(levels: list[list[float]]) -> None:
    world = world_of({f"d{number}": values for number, values in enumerate(levels)})
    seen = world.advance()
    keys = [key(f"d{number}", agg=agg) for number in range(len(levels)) for agg in AGGREGATES]
    found = complete_totals(seen, keys)
    for one in keys:
        answered = seen.total(METRICS[PENDING], one).milli[0]
        assert abs(found[one] * 1000 - answered) <= 0.5 + 1e-6 * answered
