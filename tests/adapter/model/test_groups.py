"""The GPUs of a LeaderWorkerSet's workers are part of their leader's figures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from adapter.model.batch import Batch, Column, ModelState, Origin, Point, Reading
from adapter.model.fleet import Fleet, Pod
from adapter.model.groups import Groups
from adapter.model.source import fold as heard
from adapter.model.word import Gpus

HOLD_SECONDS = 60.0


def pod(rank: int, group: str | None = "llm/0", size: int = 2) -> Pod:
    name = f"llm-0-{rank}"
    return Pod(f"u{rank}", "default", name, {}, group=group, rank=rank, group_size=size)


FLEET = Fleet.of([pod(0), pod(1)])


def says(rank: int, at: float = 100.0, gpus: int = 1, **levels: float) -> Reading:
    points = tuple(Point(series, at, value) for series, value in levels.items())
    return Reading(f"u{rank}", at, 2.0, ModelState.READY, points, gpus=Gpus(gpus))


def every(batch: Batch, uid: str = "u0") -> dict[str, float]:
    return {p.series: p.value for r in batch.readings if r.uid == uid for p in r.points}


def levels(batch: Batch, uid: str = "u0") -> dict[str, float]:
    """Return the levels without the most and the least over the group's GPUs."""
    found = every(batch, uid)
    return {name: one for name, one in found.items() if not name.endswith(("_max", "_min"))}


def fold(*readings: Reading, fleet: Fleet = FLEET, now: float = 100.0) -> Batch:
    return Groups(HOLD_SECONDS).fold(Batch(readings), fleet, now)


def test_a_share_is_the_mean_over_all_gpus_of_the_group() -> None:
    found = fold(says(1, gpu_busy_percent=20, gpus=8), says(0, gpu_busy_percent=80, gpus=4))
    assert levels(found) == {"gpu_busy_percent": 40.0}
    assert levels(found, "u1") == {"gpu_busy_percent": 20.0}  # the worker keeps its own


def test_a_group_says_of_how_many_of_all_its_gpus_a_share_is() -> None:
    whole = fold(says(1, gpu_busy_percent=20, gpus=8), says(0, gpu_busy_percent=80, gpus=4))
    assert heard({}, whole, FLEET)["u0"].gpus == Gpus(12)
    lame = structs.replace(says(1, gpu_busy_percent=20), gpus=Gpus(4, {"gpu_busy_percent": 1}))
    found = fold(lame, says(0, gpu_busy_percent=60, gpus=4))
    assert levels(found)["gpu_busy_percent"] == (3 * 20 + 4 * 60) / 7
    assert heard({}, found, FLEET)["u0"].gpus.share("gpu_busy_percent") == "7 of 8 GPUs"


def test_the_most_of_a_group_is_that_of_all_its_pods_whatever_each_has() -> None:
    several = says(1, gpus=2, gpu_busy_percent=50, gpu_busy_percent_max=90, gpu_busy_percent_min=10)
    found = every(fold(several, says(0, gpu_busy_percent=95)))
    assert (found["gpu_busy_percent_max"], found["gpu_busy_percent_min"]) == (95.0, 10.0)
    assert found["gpu_busy_percent"] == (2 * 50 + 95) / 3
    alone = every(fold(says(1, gpu_busy_percent=20), says(0, gpu_busy_percent=80)))
    assert (alone["gpu_busy_percent_max"], alone["gpu_busy_percent_min"]) == (80.0, 20.0)


def test_the_gpus_of_a_silent_worker_are_missing_from_its_group() -> None:
    found = heard({}, fold(says(0, gpu_busy_percent=80, gpus=4)), FLEET)["u0"].gpus
    assert found.share("gpu_busy_percent") == "4 of 8 GPUs"
    assert found.share("gpu_power_watts") is None


def test_a_worker_alone_moves_the_leader_and_leaves_its_queue_alone() -> None:
    groups = Groups(HOLD_SECONDS)
    groups.fold(Batch((says(0, pending=3, gpu_busy_percent=80),)), FLEET, 100.0)
    found = groups.fold(Batch((says(1, 101.0, gpu_busy_percent=20),)), FLEET, 101.0)
    (told,) = [r for r in found.readings if r.uid == "u0"]
    assert told.origin is Origin.NODE
    assert told.points[0] == Point("gpu_busy_percent", 100.0, 50.0)


def test_the_period_of_a_workers_own_source_is_not_that_of_a_nodes_source() -> None:
    own = structs.replace(says(1, gpu_busy_percent=20), period_seconds=60.0)
    assert heard({}, fold(own), FLEET)["u0"].node_period_seconds is None
    of_node = structs.replace(own, origin=Origin.NODE, period_seconds=30.0)
    sources = heard({}, fold(of_node), FLEET)
    assert sources["u0"].node_period_seconds == 30.0
    assert heard(sources, fold(own), FLEET)["u0"].node_period_seconds == 30.0


def test_the_leaders_queue_is_its_own() -> None:
    assert levels(fold(says(1, pending=9.0), says(0, pending=3.0)))["pending"] == 3.0


def test_a_sum_is_over_all_pods_or_not_known() -> None:
    one = says(0, gpu_power_watts=300.0, gpu_memory_used_bytes=5.0)
    assert levels(fold(one)) == {}
    both = fold(says(1, gpu_power_watts=400.0, gpu_memory_used_bytes=6.0), one)
    assert levels(both) == {"gpu_power_watts": 700.0, "gpu_memory_used_bytes": 11.0}


def test_a_group_of_which_pods_are_missing_knows_no_sum() -> None:
    fleet = Fleet.of([pod(0, size=3), pod(1, size=3)])
    found = fold(
        says(1, gpu_power_watts=4, gpu_busy_percent=20),
        says(0, gpu_power_watts=3, gpu_busy_percent=40),
        fleet=fleet,
    )
    assert levels(found) == {"gpu_busy_percent": 30.0}


def test_one_sick_gpu_makes_the_group_sick_and_health_needs_every_pod() -> None:
    assert levels(fold(says(0, gpu_health=0.0))) == {"gpu_health": 0.0}
    assert levels(fold(says(0, gpu_health=1.0))) == {}
    assert levels(fold(says(1, gpu_health=1.0), says(0, gpu_health=1.0))) == {"gpu_health": 1.0}


def test_a_figure_is_as_old_as_its_oldest_part_and_a_silent_worker_is_left_out_in_the_end() -> None:
    groups = Groups(HOLD_SECONDS)
    groups.fold(Batch((says(1, 100.0, gpu_busy_percent=20),)), FLEET, 100.0)
    held = groups.fold(Batch((says(0, 150.0, gpu_busy_percent=80),)), FLEET, 150.0)
    assert held.readings[0].points[0] == Point("gpu_busy_percent", 100.0, 50.0)
    gone = groups.fold(Batch((says(0, 160.0, gpu_busy_percent=80),)), FLEET, 160.0)
    assert gone.readings[0].points[0] == Point("gpu_busy_percent", 160.0, 80.0)


def test_the_leaders_own_past_is_not_that_of_its_group() -> None:
    past = (Column("gpu_busy_percent", 90.0, 10.0, (1.0,)), Column("pending", 90.0, 10.0, (2.0,)))
    told = Reading("u0", 100.0, 2.0, ModelState.READY, (), history=past)
    assert [column.series for column in fold(told).readings[0].history] == ["pending"]


def test_pods_of_no_group_are_passed_on_as_they_are() -> None:
    alone = Fleet.of([pod(0, group=None), pod(1)])
    told = says(0, gpu_busy_percent=80)
    assert fold(told, fleet=alone).readings == (told,)
    batch = Batch((told,))
    assert Groups(HOLD_SECONDS).fold(batch, Fleet.of([pod(0, group=None)]), 100.0) is batch


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 16)), min_size=1, max_size=5))
def test_a_mean_lies_between_its_parts(parts: list[tuple[float, int]]) -> None:
    fleet = Fleet.of([pod(rank, size=len(parts)) for rank in range(len(parts))])
    told = [says(n, gpu_busy_percent=v, gpus=g) for n, (v, g) in enumerate(parts)]
    found = levels(fold(*reversed(told), fleet=fleet))["gpu_busy_percent"]
    low, high = min(v for v, _ in parts), max(v for v, _ in parts)
    assert low - 1e-9 <= found <= high + 1e-9
