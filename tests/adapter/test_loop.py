"""The loop: what the intake delivered since the last tick is in the next Snapshot."""

import asyncio
from collections.abc import Iterable

import pytest
from msgspec import structs

from adapter.loop import RECALLED_SECONDS, Loop
from adapter.model import fleet as fleets
from adapter.model.batch import Batch, Column, ModelState, Origin, Point, Reading
from adapter.model.catalogue import METRICS, RAW, Stat, View
from adapter.model.exits import Workload
from adapter.model.fleet import Exit, Fleet, Memory
from adapter.model.forecast import Forecaster
from adapter.model.selector import EVERYTHING
from adapter.model.sighting import Startup
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.settings import Model
from adapter.telemetry import Metrics
from tests.adapter.model.world import DEPLOYMENT, START, WALL, serving_pod

PENDING = METRICS["llm_inference_pending_requests"]


class Delivered:
    """An intake whose next batch is set by the test."""

    def __init__(self) -> None:
        self.batch = Batch()
        self.followed: list[Fleet] = []

    def follow(self, fleet: Fleet) -> None:
        self.followed.append(fleet)

    def collect(self) -> Batch:
        batch, self.batch = self.batch, Batch()
        return batch


def nothing_asked(_: float) -> Iterable[TotalKey]:
    return ()


def says(value: float, at: float) -> Batch:
    points = (Point("pending", at, value),)
    return Batch((Reading("uid-llm-0", at, 2.0, ModelState.READY, points),))


def raw(snapshot: Snapshot | None) -> dict[str, float]:
    assert snapshot is not None
    found = snapshot.pods(PENDING, RAW, "default", EVERYTHING, None)
    return {name: milli / 1000 for name, milli in zip(found.names, found.milli, strict=True)}


def test_a_tick_publishes_what_was_delivered() -> None:
    intake, fleet = Delivered(), Fleet.of([serving_pod("llm-0")], 1)
    loop = Loop(Model(), lambda: fleet, intake, nothing_asked, Metrics())
    intake.batch = says(3.0, START)
    loop.tick(START, WALL)
    first = loop.snapshot
    intake.batch = says(4.0, START + 0.5)
    loop.tick(START + 0.5, WALL + 0.5)
    assert raw(first) == {"llm-0": 3.0}
    assert raw(loop.snapshot) == {"llm-0": 4.0}
    assert intake.followed == [fleet, fleet]


def test_a_pod_that_is_gone_is_gone_from_the_next_snapshot() -> None:
    intake, fleet = Delivered(), Fleet.of([serving_pod("llm-0")], 1)
    loop = Loop(Model(), lambda: fleet, intake, nothing_asked, Metrics())
    intake.batch = says(3.0, START)
    loop.tick(START, WALL)
    fleet = fleets.EMPTY
    loop.tick(START + 0.5, WALL + 0.5)
    assert raw(loop.snapshot) == {}


def test_a_pod_that_becomes_ready_is_served_at_once_with_its_last_word() -> None:
    loading = serving_pod("llm-0", model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
    intake, fleet = Delivered(), Fleet.of([loading], 1)
    loop = Loop(Model(), lambda: fleet, intake, nothing_asked, Metrics())
    intake.batch = says(3.0, START)
    loop.tick(START, WALL)
    fleet = Fleet.of([serving_pod("llm-0")], 2)
    loop.tick(START + 0.5, WALL + 0.5)
    assert raw(loop.snapshot) == {"llm-0": 3.0}


def test_a_total_of_before_the_start_holds_while_a_pod_is_silent_and_no_longer() -> None:
    intake = Delivered()
    fleet = Fleet.of([serving_pod(name) for name in ("llm-0", "llm-1", "llm-2")], 1)
    asked: list[TotalKey] = []
    loop = Loop(Model(), lambda: fleet, intake, lambda _: asked, Metrics())
    key = TotalKey("default", "Deployment.apps", DEPLOYMENT, PENDING.name, RAW)

    def total(at: float, *uids: str) -> float:
        points = (Point("pending", at, 1.0),)
        said = (Reading(uid, at, 2.0, ModelState.READY, points) for uid in uids)
        intake.batch = Batch(tuple(said))
        loop.tick(at, WALL + at - START)
        assert loop.snapshot is not None
        (milli,) = loop.snapshot.total(PENDING, key).milli
        return milli / 1000

    two, all_three = ("uid-llm-0", "uid-llm-1"), ("uid-llm-0", "uid-llm-1", "uid-llm-2")
    assert total(START, *two) == 3.0  # those that speak stand for all
    loop.recall({key: 60.0})
    assert total(START + 1, *two) == 60.0
    assert total(START + RECALLED_SECONDS, *two) == 60.0
    assert total(START + RECALLED_SECONDS + 2, *two) == 3.0  # nobody asked for it, or told it anew
    loop.recall({key: 60.0})
    assert total(START + 701, *two) == 60.0
    assert total(START + 702, *all_three) == 3.0
    assert total(START + 720, *two) == 3.0  # its own is newer than any that it recalls
    assert loop.in_use() == {}
    asked.append(key)
    assert total(START + 721, *all_three) == 3.0
    assert loop.in_use() == {key: 3.0}


def test_pods_are_counted_by_standing() -> None:
    metrics = Metrics()
    pods = [serving_pod("a"), serving_pod("b"), serving_pod("c", terminating=True)]
    loop = Loop(Model(), lambda: Fleet.of(pods, 1), Delivered(), nothing_asked, metrics)
    loop.tick(START, WALL)
    value = metrics.registry.get_sample_value
    assert value("forescale_adapter_pods", {"standing": "serving"}) == 2.0
    assert value("forescale_adapter_pods", {"standing": "ended"}) == 1.0


async def test_a_broken_tick_is_told_and_the_loop_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = 0

    def fleet() -> Fleet:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("broken once")
        return fleets.EMPTY

    loop = Loop(Model(tick_seconds=0.01), fleet, Delivered(), nothing_asked, Metrics())
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(3):
        while loop.snapshot is None:
            await asyncio.sleep(0.01)
    task.cancel()
    assert "tick_failed" in caplog.text


def test_gauges_starts_and_spending_go_on_where_the_foresight_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics, pod = Metrics(), serving_pod("llm-0")
    loop = Loop(Model(), lambda: Fleet.of([pod], 1), Delivered(), nothing_asked, metrics)
    loop.foresight.recall("no key", Forecaster())  # type: ignore[arg-type]
    for n in range(3):
        loop.tick(START + n / 2, WALL + n / 2)
    count = metrics.registry.get_sample_value
    assert count("forescale_adapter_pods", {"standing": "serving"}) == 1.0
    assert count("forescale_adapter_forecast_failures_total") == 1.0  # what failed is let go
    assert loop.snapshot is not None
    assert loop.snapshot.foreseen == {}
    assert caplog.text.count("forecast_failed") == 1


def test_an_exit_for_want_of_memory_is_counted_for_its_workload() -> None:
    metrics = Metrics()
    pod = serving_pod("llm-0", exits=(Exit("llm-server", Memory.GPU, WALL),))
    loop = Loop(Model(), lambda: Fleet.of([pod], 1), Delivered(), nothing_asked, metrics)
    loop.tick(START, WALL)
    loop.tick(START + 0.5, WALL + 0.5)
    labels = {
        "namespace": "default",
        "kind": "Deployment",
        "workload": DEPLOYMENT,
        "memory": "gpu",
    }
    count = metrics.registry.get_sample_value
    assert count("forescale_adapter_out_of_memory_exits_total", labels) == 1.0


def test_a_past_from_elsewhere_fills_the_window_and_says_nothing_of_the_present() -> None:
    intake, fleet = Delivered(), Fleet.of([serving_pod("llm-0")], 1)
    loop = Loop(Model(), lambda: fleet, intake, nothing_asked, Metrics())
    column = Column("pending", START - 5.0, 10.0, (4.0,) * 12)
    past = Reading("uid-llm-0", START, 15.0, ModelState.UNKNOWN, (), history=(column,))
    past = structs.replace(past, origin=Origin.HISTORY)
    intake.batch = Batch((*says(4.0, START).readings, past))
    loop.tick(START, WALL)
    assert loop.snapshot is not None
    assert loop.snapshot.sources["uid-llm-0"].model is ModelState.READY
    seen = loop.snapshot.pods(PENDING, View(Stat.MEAN, 60), "default", EVERYTHING, None)
    assert seen.milli == [4000]


def test_a_pod_that_serves_has_taught_how_long_a_start_takes() -> None:
    startup = Startup(created_at=WALL - 700, is_ready=True)
    intake, fleet = Delivered(), Fleet.of([serving_pod("llm-0", startup=startup)], 1)
    loop = Loop(Model(), lambda: fleet, intake, nothing_asked, Metrics())
    intake.batch = says(3.0, START)
    loop.tick(START, WALL)
    found = loop.starting.estimate(Workload("default", "Deployment", DEPLOYMENT), WALL)
    assert (found.starts, found.p50_seconds) == (1, 200)


def many(count: int, at: float, value: float) -> Batch:
    points = (Point("pending", at, value), Point("running", at, value / 2))
    readings = (Reading(f"uid-llm-{n}", at, 2.0, ModelState.READY, points) for n in range(count))
    return Batch(tuple(readings))


def test_a_tick_in_many_steps_publishes_what_one_in_a_single_step_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = Fleet.of([serving_pod(f"llm-{n}") for n in range(7)], 1)
    published = []
    for readings_per_step in (1, 3, 1000):
        monkeypatch.setattr("adapter.loop.READINGS_PER_STEP", readings_per_step)
        intake = Delivered()
        loop = Loop(Model(), lambda: fleet, intake, nothing_asked, Metrics())
        for tick in range(30):
            first, second = many(7, START + tick / 2 - 0.2, tick), many(5, START + tick / 2, 3.0)
            intake.batch = Batch((*first.readings, *second.readings))
            loop.tick(START + tick / 2, WALL + tick / 2)
        assert loop.snapshot is not None
        view = View(Stat.MEAN, 15)
        published.append(loop.snapshot.pods(PENDING, view, "default", EVERYTHING, None))
    assert len(published[0].names) == 7
    assert published[0] == published[1] == published[2]


async def turns_until_published(tick_seconds: float) -> int:
    """Return how often others came to their turn in the first tick of 3,000 pods."""
    fleet = Fleet.of([serving_pod(f"llm-{n}") for n in range(3000)], 1)
    intake = Delivered()
    loop = Loop(Model(tick_seconds=tick_seconds), lambda: fleet, intake, nothing_asked, Metrics())
    intake.batch = many(3000, asyncio.get_running_loop().time(), 3.0)
    task = asyncio.create_task(loop.run())
    turns = 0
    async with asyncio.timeout(10):
        while loop.snapshot is None:
            await asyncio.sleep(0)
            turns += 1
    task.cancel()
    return turns


async def test_others_run_between_the_steps_of_a_long_tick() -> None:
    assert await turns_until_published(60.0) >= 6


async def test_a_tick_that_took_its_whole_period_waits_for_nobody() -> None:
    assert await turns_until_published(0.0001) <= 2
