"""The totals of ten minutes are known at once where every pod tells them, or left out."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from adapter.model import backlog
from adapter.model.batch import Column
from adapter.model.catalogue import METRICS
from adapter.model.fleet import Pod
from adapter.model.snapshot import TotalKey
from adapter.model.target import DEMANDS
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, START, WALL, World, serving_pod

PODS = ("llm-0", "llm-1")


def key(word: str = "inflight") -> TotalKey:
    metric = DEMANDS[word]
    return TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, metric, METRICS[metric].view)


def pods() -> list[Pod]:
    """Return pods that were ready long ago."""
    since = {"model_started_at": WALL - 4_000.0, "ready_changed_at": WALL - 3_900.0}
    return [serving_pod(name, **since) for name in PODS]


def world(*past: list[float | None], series: str = "inflight") -> World:
    """Pods that tell these steps of ten seconds on their first reading, one list each."""
    found = World(*pods())
    for name, values in zip(PODS, past, strict=False):
        found.say[name] = {series: values[-1] or 0.0}
        found.history[name] = (Column(series, found.now, 10.0, tuple(values)),)
    found.advance()
    return found


def totals(
    found: World, since: float = -math.inf, word: str = "inflight", most: float = math.inf
) -> list[tuple[float, float]]:
    assert found.snapshot is not None
    return backlog.totals(found.snapshot, key(word), since, most)


def test_a_new_replica_knows_ten_minutes_of_totals_every_five_seconds() -> None:
    found = world([10.0] * 90, [4.0] * 90)
    told = totals(found)
    assert {value for _, value in told} == {14.0}
    times = [at for at, _ in told]
    assert times == sorted(times)
    assert {b - a for a, b in pairwise(times)} == {5.0}
    assert times[0] == pytest.approx(found.now - 600.0, abs=15.0)
    assert found.now - 10.0 < times[-1] < found.now


def test_a_rise_stands_where_it_was_as_the_view_has_it() -> None:
    """Five minutes ago demand doubled: half of the way is gone half a window after that."""
    found = world([10.0] * 60 + [20.0] * 30, [10.0] * 60 + [20.0] * 30)
    told = totals(found)
    rise = found.now - 300.0
    assert {value for at, value in told if at < rise - 12.0} == {20.0}
    assert {value for at, value in told if at > rise + 30.0} == {40.0}
    between = [at for at, value in told if 20.0 < value < 40.0]
    assert between
    assert rise - 12.0 <= min(between) <= max(between) <= rise + 30.0


def test_only_what_came_after_is_told() -> None:
    found = world([10.0] * 90, [4.0] * 90)
    assert {at > found.now - 100.0 for at, _ in totals(found, found.now - 100.0)} == {True}


def test_a_time_of_which_a_pod_says_nothing_is_left_out() -> None:
    half: list[float | None] = [None] * 60 + [4.0] * 30
    times = [at for at, _ in totals(world([10.0] * 90, half))]
    assert len(times) == pytest.approx(60, abs=4)


def test_before_a_pod_was_ready_it_had_no_part_in_the_total() -> None:
    half: list[float | None] = [None] * 60 + [4.0] * 30
    found = World(*pods())
    found.change("llm-1", ready_changed_at=WALL - 290.0)
    for name, values in zip(PODS, ([10.0] * 90, half), strict=True):
        found.say[name] = {"inflight": values[-1] or 0.0}
        found.history[name] = (Column("inflight", found.now, 10.0, tuple(values)),)
    found.advance()
    told = totals(found)
    assert len(told) == pytest.approx(118, abs=4)
    assert [told[0][1], told[-1][1]] == [10.0, 14.0]


def test_a_pod_that_tells_no_past_leaves_all_out_but_what_was_seen() -> None:
    found = world([10.0] * 90)
    found.say["llm-1"] = {"inflight": 4.0}
    found.advance(20)
    assert all(at > found.now - 25.0 for at, _ in totals(found))
    del found.pods["llm-1"]
    found.advance()
    assert len(totals(found)) > 100


def test_a_workload_has_begun_when_its_first_pod_could_tell_something() -> None:
    found = world([10.0] * 90, [4.0] * 90)
    found.change("llm-1", ready_changed_at=WALL - 290.0)
    found.advance()
    assert found.snapshot is not None
    assert backlog.begun_at(found.snapshot, key()) == START - 3_900.0 + 20.0


def test_gpus_that_were_all_busy_are_no_total() -> None:
    busy = [60.0] * 60 + [99.0] * 30
    found = world(busy, busy, series="gpu_busy_percent")
    assert max(value for _, value in totals(found, word="gpu")) == 198.0
    assert max(value for _, value in totals(found, word="gpu", most=95.0)) < 190.0


def test_where_no_pod_serves_there_is_no_total() -> None:
    found = World()
    found.advance()
    assert totals(found) == []
