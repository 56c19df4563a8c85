"""Pods are created, load their model, serve, and go in the order in which a ReplicaSet deletes."""

from __future__ import annotations

import itertools

from adapter.replay.pods import Pods


def pods(initial: int, *starts: float) -> Pods:
    return Pods(initial, itertools.cycle(starts or (60.0,)))


def test_a_new_pod_serves_once_its_model_is_loaded() -> None:
    found = pods(1)
    found.scale(2, 100.0)
    found.advance(159.0)
    assert (len(found.ready), len(found.loading), found.wanted) == (1, 1, 2)
    found.advance(160.0)
    assert (len(found.ready), len(found.loading), found.wanted) == (2, 0, 2)


def test_a_quick_start_overtakes_a_slow_one() -> None:
    found = pods(1, 100.0, 10.0)
    found.scale(3, 0.0)
    found.advance(10.0)
    assert [pod.name for pod in found.ready] == ["pod-1", "pod-3"]


def test_pods_that_load_go_first_then_the_youngest() -> None:
    found = pods(3)
    found.scale(5, 0.0)
    assert found.scale(2, 10.0) == 3
    assert [pod.name for pod in found.ready] == ["pod-1", "pod-2"]
    assert found.loading == []


def test_the_controller_sees_loading_pods_as_running() -> None:
    found = pods(1)
    found.scale(2, 0.0)
    assert {(member.name, member.phase) for member in found.members()} == {
        ("pod-1", "Running"),
        ("pod-2", "Running"),
    }


def test_only_changes_are_counted() -> None:
    found = pods(2)
    found.scale(2, 0.0)
    found.scale(4, 15.0)
    found.scale(1, 30.0)
    assert found.changes == 2


def test_beyond_the_room_a_pod_waits_for_its_node_and_holds_no_gpu() -> None:
    found = Pods(1, itertools.repeat(60.0), room=2, node_seconds=100.0)
    assert found.start_seconds(60.0) == 60.0
    found.scale(3, 0.0)
    assert found.start_seconds(60.0) == 160.0
    assert [member.phase for member in found.members(50.0)] == ["Running", "Running", "Pending"]
    assert (found.held(99.0), found.held(100.0)) == (2, 3)
    assert found.members(100.0)[2].phase == "Running"
    found.advance(159.0)
    assert len(found.ready) == 2
    found.advance(160.0)
    assert len(found.ready) == 3


def test_a_pod_that_goes_before_its_node_came_held_nothing() -> None:
    found = Pods(1, itertools.repeat(60.0), room=1, node_seconds=100.0)
    found.scale(3, 0.0)
    assert found.scale(1, 50.0) == 0
