"""Exporters on real HTTP servers: what they may say, of whom, how old it is, and when they stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from msgspec import structs

from adapter.intake.subscribe import Subscriber
from adapter.loop import Loop
from adapter.model.batch import Batch, ModelState, Origin, Point, Reading
from adapter.model.fleet import Fleet, MetricsPage, Pod, SourceKind
from adapter.model.freshness import Freshness
from adapter.model.holding import Holding
from adapter.model.snapshot import Snapshot
from adapter.settings import Intake, Model
from adapter.telemetry import Metrics
from tests.adapter.intake.scraping import answering, listening
from tests.adapter.intake.streaming import collect, pod
from tests.adapter.model.world import START, WALL, serving_pod

PERIOD = 0.9  # three looks of 0.3 s
SETTINGS = Intake(
    allow_loopback=True,
    exporter_period_seconds=PERIOD,
    scrape_seconds=1.0,
    node_sources="gpu-operator/nvidia-dcgm-exporter",
)


def exporter(port: int, **changes: object) -> Pod:
    made = pod(None, uid="exporter", namespace="gpu-operator", name="dcgm-exporter-x")
    fields: dict[str, object] = {
        "source": SourceKind.NODE,
        "service_account": "nvidia-dcgm-exporter",
        "node": "node-a",
        "pages": (MetricsPage("dcgm", port, "/metrics"),),
    }
    return structs.replace(made, **(fields | changes))


def ward(**changes: object) -> Pod:
    return structs.replace(pod(None, uid="u1", name="llm-0", node="node-a"), **changes)


def line(util: float, *, power: float | None = None, holder: str = "llm-0") -> str:
    labels = f'{{gpu="0",UUID="GPU-x",namespace="default",pod="{holder}"}}'
    moving = "" if power is None else f"DCGM_FI_DEV_POWER_USAGE{labels} {power}\n"
    return f"DCGM_FI_DEV_GPU_UTIL{labels} {util}\n{moving}"


class Page:
    """An exporter whose page the test sets; `asked` counts the looks at it."""

    def __init__(self) -> None:
        self.text = line(50)
        self.status = 200
        self.asked = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(text=self.text, status=self.status)


@asynccontextmanager
async def following(
    page: Page, *wards: Pod, settings: Intake = SETTINGS, **changes: object
) -> AsyncIterator[Subscriber]:
    async with (
        listening(answering(page.answer)) as port,
        Subscriber(settings, Metrics()) as subscriber,
    ):
        subscriber.follow(Fleet.of([exporter(port, **changes), *wards], 1))
        yield subscriber


def heard(batch: Batch) -> bool:
    return bool(batch.readings)


async def first(page: Page, *wards: Pod, **changes: object) -> Reading:
    async with following(page, *wards, **changes) as subscriber:
        return (await collect(subscriber, heard)).readings[0]


async def test_a_pods_gpus_are_told_by_the_exporter_of_its_node() -> None:
    found = await first(Page(), ward())
    assert (found.uid, found.origin, found.period_seconds) == ("u1", Origin.NODE, PERIOD)
    assert {point.series: point.value for point in found.points} == {"gpu_busy_percent": 50.0}
    assert found.why == {}


async def test_at_first_sight_a_page_may_be_a_whole_period_old() -> None:
    found = await first(Page(), ward())
    assert found.at - found.points[0].at == pytest.approx(PERIOD, abs=0.3)
    assert found.at - found.points[0].at >= PERIOD


async def test_a_page_that_changed_was_collected_since_the_look_before() -> None:
    page = Page()
    async with following(page, ward()) as subscriber:
        before = (await collect(subscriber, heard)).readings[-1]
        page.text = line(60)
        changed = await collect(
            subscriber, lambda b: any(r.points[0].value == 60.0 for r in b.readings)
        )
    after = next(r for r in changed.readings if r.points[0].value == 60.0)
    earlier = [r for r in (before, *changed.readings) if r.at < after.at][-1]
    assert after.points[0].at <= earlier.at
    assert after.at - after.points[0].at < PERIOD


async def test_a_page_that_stands_still_though_power_is_on_it_grows_old() -> None:
    page = Page()
    page.text = line(50, power=300.5)
    async with following(page, ward()) as subscriber:
        batch = await collect(subscriber, lambda b: len(b.readings) >= 4)
    assert len({point.at for reading in batch.readings for point in reading.points}) == 1


async def test_a_page_of_still_figures_alone_is_taken_for_collected_each_period() -> None:
    page = Page()
    async with following(page, ward()) as subscriber:
        batch = await collect(subscriber, lambda b: len(b.readings) >= 4)
    ages = [reading.at - reading.points[0].at for reading in batch.readings]
    assert all(PERIOD <= age < PERIOD + 0.3 for age in ages)


async def test_it_is_looked_at_three_times_a_period() -> None:
    page = Page()
    async with following(page, ward()) as subscriber:
        await collect(subscriber, lambda b: len(b.readings) >= 3)
        began, asked = asyncio.get_running_loop().time(), page.asked
        await collect(subscriber, lambda b: len(b.readings) >= 3)
        took = asyncio.get_running_loop().time() - began
    assert took / (page.asked - asked) == pytest.approx(PERIOD / 3, rel=0.5)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"service_account": "default"}, "is not in intake.nodeSources"),
        ({"namespace": "tenant"}, "is not in intake.nodeSources"),
        ({"host_network": True}, "it uses hostNetwork"),
    ],
)
async def test_who_may_not_speak_is_never_asked(
    changes: dict[str, object], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = Page()
    async with following(page, ward(), **changes) as subscriber:
        await asyncio.sleep(0.5)
        assert subscriber.collect().readings == ()
        assert subscriber.tried()
    assert page.asked == 0
    told = [r.fields["why"] for r in caplog.records if r.message == "node_source_refused"]
    assert len(told) == 1
    assert why in told[0]


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"node": "node-b"},
        {"node": None},
        {"namespace": "other"},
        {"terminating": True},
        {"phase": "Succeeded"},
    ],
)
async def test_of_a_pod_elsewhere_or_ended_nothing_is_believed(
    elsewhere: dict[str, object],
) -> None:
    page = Page()
    async with following(page, ward(**elsewhere)) as subscriber:
        async with asyncio.timeout(5):
            while page.asked < 2:
                await asyncio.sleep(0.05)
        readings = subscriber.collect().readings
    assert [point for reading in readings for point in reading.points] == []


async def test_a_shared_gpu_is_withheld_unless_the_pod_allows_it() -> None:
    page = Page()
    page.text = line(50) + line(50, holder="neighbour")
    found = await first(page, ward())
    assert found.points == ()
    assert found.why["gpu"].startswith("shared GPUs are withheld: the DCGM exporter lists GPU-x")
    allowed = await first(page, ward(holding=Holding(sharing_allowed=True)))
    assert allowed.points[0].value == 50.0


async def test_a_pod_for_which_more_gpus_are_listed_than_it_asks_for_gets_none_of_them() -> None:
    page = Page()
    page.text = line(50) + line(90).replace("GPU-x", "GPU-y")
    asks_for_one, asks_for_two = Holding(requested=1), Holding(requested=2)
    assert (await first(page, ward(holding=asks_for_one))).why == {
        "gpu": "the DCGM exporter of its node lists 2 GPUs for it, which asks for 1:"
        " which are its own is not known"
    }
    both = await first(page, ward(holding=asks_for_two))
    assert (both.points[0].value, both.why) == (70.0, {})


async def test_lines_that_contradict_themselves_are_counted_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page, metrics = Page(), Metrics()
    page.text = line(50) + 2 * line(90, holder="other").replace("pod=", 'pod="me",pod=')
    async with (
        listening(answering(page.answer)) as port,
        Subscriber(SETTINGS, metrics) as subscriber,
    ):
        subscriber.follow(Fleet.of([exporter(port), ward()], 1))
        await collect(subscriber, lambda b: len(b.readings) >= 3)
    assert metrics.dropped_values.labels("page")._value.get() >= 6
    told = [one.fields for one in caplog.records if one.msg == "figure_dropped"]  # type: ignore[attr-defined]
    assert [one["series"] for one in told] == ["labels"]
    assert told[0]["why"].endswith("such a GPU is withheld (2 now)")


async def test_a_pod_that_the_page_does_not_list_is_told_so() -> None:
    page = Page()
    page.text = line(50, holder="neighbour")
    assert (await first(page, ward())).why == {
        "gpu": "the DCGM exporter of its node lists no GPU for it"
    }


async def test_a_pod_is_not_given_the_figures_of_the_one_before_it_of_the_same_name() -> None:
    page = Page()
    page.text = line(95, power=700.0)
    async with (
        listening(answering(page.answer)) as port,
        Subscriber(SETTINGS, Metrics()) as subscriber,
    ):
        subscriber.follow(Fleet.of([exporter(port), ward(uid="old")], 1))
        await collect(subscriber, heard)
        subscriber.follow(Fleet.of([exporter(port), ward(uid="new")], 2))
        before = await collect(subscriber, lambda b: any(r.uid == "new" for r in b.readings))
        page.text = line(0, power=70.0)
        after = await collect(subscriber, lambda b: any(r.points for r in b.readings))
    told = [one for one in before.readings if one.uid == "new"]
    assert [(one.points, one.why["gpu"]) for one in told] == [
        ((), "the DCGM exporter of its node was last seen to collect before this pod ran here")
    ] * len(told)
    assert next(r for r in after.readings if r.points).points[0].value == 0.0


async def test_an_exporter_that_names_no_pod_is_told_what_it_needs() -> None:
    page = Page()
    page.text = line(50, holder="")
    assert "DCGM_EXPORTER_KUBERNETES=true" in (await first(page, ward())).why["gpu"]


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [("", 200, "has none of DCGM's fields"), ("no", 500, "answers 500")],
)
async def test_a_page_that_cannot_be_had_gives_no_figure_and_the_reason(
    text: str, status: int, words: str
) -> None:
    page = Page()
    page.text, page.status = text, status
    async with following(page, ward()) as subscriber:
        found = (await collect(subscriber, heard)).readings[0]
        assert subscriber.tried()
    assert found.points == ()
    assert "the exporter gpu-operator/dcgm-exporter-x: http://127.0.0.1" in found.why["gpu"]
    assert words in found.why["gpu"]


class Delivered:
    """An intake whose next batch is set by the test."""

    def __init__(self) -> None:
        self.readings: tuple[Reading, ...] = ()

    def follow(self, _: Fleet) -> None:
        """Nothing has to be opened."""

    def collect(self) -> Batch:
        return Batch(self.readings)


def test_queue_and_gpu_of_two_sources_are_one_row_each_with_ages_in_their_own_periods() -> None:
    served = serving_pod("llm-0")
    intake = Delivered()
    loop = Loop(Model(), lambda: Fleet.of([served], 1), intake, lambda _: (), Metrics())
    queue = (Point("pending", START, 3.0),)
    gpu = (Point("gpu_busy_percent", START, 90.0),)
    intake.readings = (
        Reading(served.uid, START, 2.0, ModelState.READY, queue),
        Reading(served.uid, START, 30.0, ModelState.UNKNOWN, gpu, origin=Origin.NODE),
    )
    loop.tick(START, WALL)
    intake.readings = ()
    loop.tick(START + 59.0, WALL + 59.0)
    assert loop.snapshot is not None
    assert grade_of(loop.snapshot, served, "pending") is Freshness.HELD
    assert grade_of(loop.snapshot, served, "gpu_busy_percent") is Freshness.FRESH
    loop.tick(START + 119.0, WALL + 119.0)
    assert grade_of(loop.snapshot, served, "pending") is Freshness.GONE
    assert grade_of(loop.snapshot, served, "gpu_busy_percent") is Freshness.HELD


def grade_of(snapshot: Snapshot, of: Pod, series: str) -> Freshness:
    return Freshness(snapshot.grades[snapshot.window.rows[of.uid, series]])
