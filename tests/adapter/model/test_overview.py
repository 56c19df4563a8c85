"""The overview says of every pod once how it stands, and of no figure more than a query would."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model import overview
from adapter.model.fleet import Owner, SourceKind
from adapter.model.foreseen import Foreseen, Mode
from adapter.model.snapshot import TotalKey
from adapter.model.target import parse
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, World, serving_pod

LLM = (NAMESPACE, Owner("Deployment.apps", DEPLOYMENT))
BUSY = {"pending": 4.0, "running": 8.0, "inflight": 12.0, "gpu_busy_percent": 50.0}


def row(world: World, workload: overview.Object = LLM) -> overview.Row:
    assert world.snapshot is not None
    return overview.row(world.snapshot, workload)


def world(*names: str, says: Mapping[str, float] = BUSY, **changes: object) -> World:
    made = World(*(serving_pod(name, **changes) for name in names))
    made.say = dict.fromkeys(names, says)
    made.advance(20)
    return made


def test_a_row_has_the_totals_that_queries_get_and_the_mean_of_the_gpus() -> None:
    found = row(world("a", "b"))
    assert (found.replicas, found.served, found.left, found.left_more) == (2, 2, (), 0)
    assert found.demand.name == "llm_inference_inflight_requests"
    assert (found.observed, found.smoothed, found.why) == (24, 24, None)
    assert (found.pending, found.gpu_percent) == (8, 50)
    assert (found.target, found.desired, found.carries, found.foreseen) == (None, None, None, None)


def test_a_silent_pod_is_held_and_then_omitted_with_the_reason() -> None:
    made = world("a", "b", "c")
    del made.say["c"]
    made.advance(20)
    assert (row(made).served, row(made).held, row(made).omitted) == (2, 1, 0)
    made.advance(60)
    assert (row(made).served, row(made).held, row(made).omitted) == (2, 0, 1)
    assert row(made).left == (overview.Left("c", "no reading for 80 s"),)


def test_pods_on_their_way_are_loading_and_ended_ones_no_replicas() -> None:
    made = world("a", "b", "c")
    made.change("b", model_ready=False, ready_changed_at=None)
    made.change("c", terminating=True)
    made.advance(2)
    found = row(made)
    assert (found.replicas, found.served, found.loading, found.omitted) == (2, 1, 1, 1)
    assert [left.why for left in found.left] == [
        "is still loading its model",
        "is ending or ended",
    ]


def test_without_any_value_the_row_says_why() -> None:
    made = world("a", model_ready=False, ready_changed_at=None)
    found = row(made)
    assert (found.observed, found.smoothed, found.gpu_percent) == (None, None, None)
    assert found.why is not None
    assert "pod a is still loading its model" in found.why


def test_a_target_says_what_the_serving_pods_carry_and_how_many_it_asks_for() -> None:
    found = row(world("a", "b", target=parse("inflight=5")))
    assert (found.target, found.carries, found.desired) == (5, 10, 5)


def test_the_demand_is_that_of_the_target_or_the_first_that_is_read() -> None:
    says = {"pending": 3.0, "gpu_busy_percent": 70.0}
    assert row(world("a", says=says)).demand.name == "llm_inference_pending_requests"
    gpu = {"gpu_busy_percent": 70.0}
    assert row(world("a", says=gpu)).demand.name == "nvidia_gpu_utilization"
    asked = row(world("a", target=parse("gpu=60")))
    assert (asked.demand.name, asked.smoothed) == ("nvidia_gpu_utilization", 50)


def test_what_is_foreseen_of_the_demand_stands_in_the_row() -> None:
    made = world("a")
    assert made.snapshot is not None
    metric = row(made).demand
    key = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, metric.name, metric.view)
    foreseen = Foreseen(Mode.OBSERVE, 12, 20, 20, None, "100 s", "rising")
    object.__setattr__(made.snapshot, "foreseen", {key: foreseen})
    assert row(made).foreseen == foreseen


def test_a_pod_without_an_owner_is_its_own_workload() -> None:
    made = world("a", owners=())
    assert made.snapshot is not None
    (found,) = overview.workloads(made.snapshot.fleet)
    assert found == (NAMESPACE, Owner("Pod", "a"))
    assert row(made, found).smoothed == 12


def test_sources_are_counted_by_kind_with_what_hinders_them_most() -> None:
    made = World(
        serving_pod("a"),
        serving_pod("b"),
        serving_pod("c", source=SourceKind.SCRAPE, source_problem="no port"),
        serving_pod("d", source=None),
    )
    made.say = {"a": BUSY}
    made.troubles = {"uid-b": "connection refused"}
    assert overview.sources(made.advance(5)) == (
        overview.SourceRow("node alone", 1, 0, ""),
        overview.SourceRow("scrape", 1, 0, "1 x no port"),
        overview.SourceRow("sidecar", 2, 1, "1 x connection refused"),
    )


def test_a_namespace_with_many_workloads_leaves_room_for_anothers_few() -> None:
    many = [("big", Owner("Deployment.apps", f"a{number}")) for number in range(9)]
    few = [("small", Owner("Deployment.apps", "z"))]
    assert overview.fair([*many, *few], 4) == [*many[:3], *few]
    assert overview.fair(few, 4) == few


@given(
    st.lists(
        st.tuples(st.sampled_from(("Running", "Pending", "Failed")), st.booleans(), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_each_pod_counts_exactly_once_and_each_without_a_value_has_a_reason(
    pods: list[tuple[str, bool, bool]],
) -> None:
    made = World(
        *(
            serving_pod(f"p{n}", phase=phase, model_ready=ready, ready_changed_at=None)
            for n, (phase, ready, _) in enumerate(pods)
        )
    )
    made.say = {f"p{n}": BUSY for n, (_, _, says) in enumerate(pods) if says}
    made.advance(3)
    found = row(made)
    assert found.served + found.held + found.loading + found.omitted == len(pods)
    assert len(found.left) + found.left_more == len(pods) - found.served - found.held
    assert all(left.why for left in found.left)
    assert found.served == sum(pod == ("Running", True, True) for pod in pods)


@pytest.mark.parametrize("pods", [overview.MAX_LEFT + 3])
def test_pods_without_a_value_are_named_up_to_a_bound_and_the_rest_counted(pods: int) -> None:
    made = World(*(serving_pod(f"p{number:03}") for number in range(pods)))
    made.advance(2)
    assert (len(row(made).left), row(made).left_more) == (overview.MAX_LEFT, 3)
