"""Owns the proof of when readings are taken and frames sent, with real engine pages and NVML."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sidecar import fetch, wire
from sidecar.attribute import claim
from sidecar.gpu import Gpus
from sidecar.modelserver import ModelServer
from sidecar.poll import Periods, Poller
from sidecar.sample import Identity
from sidecar.settings import load
from sidecar.telemetry import Telemetry
from sidecar.wire import EngineState, Frame
from tests.fakes.nvml import FakeGpus

MEMORY = "nvmlDeviceGetMemoryInfo_v2"


@dataclass
class Bench:
    """A poller whose model server and clock the test holds in its hands."""

    http: aiohttp.ClientSession
    url: str
    stop_server: Callable[[], Awaitable[None]]
    waiting: float = 0.0
    slow_seconds: float = 0.0
    reads: int = 0
    frames: list[Frame] = field(default_factory=list)
    skipped_seconds: float = 0.0
    held_at: float | None = None  # where the clock stands but for what is skipped
    gpus: Gpus = field(init=False)

    def __post_init__(self) -> None:
        self.gpus = Gpus(0.5, self.clock)

    def clock(self) -> float:
        now = time.monotonic() if self.held_at is None else self.held_at
        return now + self.skipped_seconds

    def publish(self, line: bytes) -> None:
        self.frames.append(wire.decode(line))

    def poller(
        self,
        uuids: tuple[str, ...] = (),
        heartbeat_seconds: float = 2.0,
        engine_seconds: float = 1.0,
        gpu_seconds: float = 2.0,
    ) -> Poller:
        argv = ["--engine", "vllm", "--engine-url", self.url]
        return Poller(
            identity=Identity("b", "u", heartbeat_seconds, self.clock()),
            periods=Periods(engine_seconds, gpu_seconds, heartbeat_seconds),
            server=ModelServer(load(argv, {}, "0").settings, self.http, self.clock),
            gpus=self.gpus,
            proven=lambda: claim(uuids, None),
            clock=self.clock,
        )

    async def page(self, _: web.Request) -> web.Response:
        self.reads += 1
        waiting = self.waiting
        await asyncio.sleep(self.slow_seconds)
        return web.Response(text=f"vllm:num_requests_waiting {waiting}\n")

    async def tick(self, poller: Poller, times: int = 1) -> None:
        telemetry = Telemetry("0", poller.frame)
        for _ in range(times):
            await poller.tick(self.publish, telemetry)
            self.skipped_seconds += 1.0


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    app = web.Application()
    server = TestServer(app)
    async with fetch.session(1.0) as http:
        found = Bench(http, "", server.close)
        app.router.add_get("/metrics", found.page)
        await server.start_server(shutdown_timeout=0.1)
        found.url = str(server.make_url("/metrics"))
        yield found
        await found.gpus.close()
    await server.close()


async def test_the_first_tick_is_sent_with_who_and_what(bench: Bench) -> None:
    await bench.tick(bench.poller())
    (frame,) = bench.frames
    assert (frame.schema, frame.uid, frame.seq, frame.period_seconds) == (1, "u", 1, 2.0)
    assert frame.engine is not None
    assert frame.engine.state is EngineState.READY
    assert frame.phases is not None
    assert frame.phases.engine_first_ready_age_seconds is not None


async def test_a_quiet_queue_is_read_every_tick_and_sent_every_heartbeat(bench: Bench) -> None:
    poller = bench.poller()
    await told(bench, poller, "libnvidia-ml.so.1")
    bench.frames.clear()
    bench.held_at = time.monotonic()  # a machine under load must not stretch the ticks
    before = bench.reads
    await bench.tick(poller, 8)
    assert bench.reads == before + 8
    assert len(bench.frames) == 4


async def test_a_new_queue_length_is_sent_at_its_tick(bench: Bench) -> None:
    poller = bench.poller()
    await told(bench, poller, "libnvidia-ml.so.1")
    bench.frames.clear()
    for waiting in (1.0, 2.0, 3.0):
        bench.waiting = waiting
        await bench.tick(poller)
    seen = [frame.engine.pending for frame in bench.frames if frame.engine]
    assert seen == [1.0, 2.0, 3.0]


async def test_a_slow_page_does_not_delay_the_heartbeat(bench: Bench) -> None:
    poller = bench.poller(heartbeat_seconds=0.2)
    await bench.tick(poller)
    bench.frames.clear()
    bench.slow_seconds = 0.9
    began = time.monotonic()
    await bench.tick(poller)
    assert time.monotonic() - began < 1.2
    ages = [(frame.age_seconds and frame.age_seconds.engine) or 0.0 for frame in bench.frames]
    assert len(ages) >= 3
    assert 1.0 < ages[0] < ages[1]  # the last reading grows old meanwhile
    assert 0.9 <= ages[-1] < 1.2  # the new one is as old as its question


async def test_a_page_that_always_takes_longer_than_the_tick_is_read_on_end_with_its_age(
    bench: Bench,
) -> None:
    bench.slow_seconds = 0.5
    poller = bench.poller(heartbeat_seconds=0.3, engine_seconds=0.4)
    task = asyncio.create_task(poller.run(bench.publish, Telemetry("0", poller.frame)))
    await asyncio.sleep(2.3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    # At 0, 0.5, 1.0, 1.5, 2.0 s: the next starts right after a slow one, not at the next tick, by
    # which there would be three. A loaded machine may lose one.
    assert bench.reads in (4, 5)
    told = [frame for frame in bench.frames if frame.engine]
    assert {frame.engine.state for frame in told if frame.engine} == {EngineState.READY}
    ages = [frame.age_seconds.engine or 0.0 for frame in told if frame.age_seconds]
    assert len(ages) >= 5  # heartbeats between the readings
    assert 0.5 <= min(ages) < 0.7
    assert 0.7 < max(ages) < 1.2  # just before the next reading came


async def test_gpus_are_read_and_sent_while_a_page_is_slow(bench: Bench, gpus: FakeGpus) -> None:
    poller = bench.poller(tuple(gpus.uuids), heartbeat_seconds=0.3, gpu_seconds=0.3)
    await started(bench, poller)
    await bench.tick(poller)
    bench.frames.clear()
    bench.slow_seconds = 0.95
    gpus.set(0, memory_used_bytes=7 * 10**10)
    await bench.tick(poller)
    during = [frame for frame in bench.frames[:-1] if frame.gpus]
    assert during[-1].gpus is not None
    assert during[-1].gpus[0].memory_used_bytes == 7 * 10**10
    ages = [frame.age_seconds.gpu for frame in bench.frames if frame.age_seconds]
    assert all(age is not None and age < 1.0 for age in ages[1:])


async def test_a_gpu_reading_is_as_old_as_its_question_however_late_it_is_picked_up(
    bench: Bench, gpus: FakeGpus
) -> None:
    poller = bench.poller(tuple(gpus.uuids), heartbeat_seconds=5.0, gpu_seconds=0.1)
    await started(bench, poller)
    bench.slow_seconds = 0.8
    await bench.tick(poller)
    bench.skipped_seconds -= 1.0  # the tick's own second is no part of the age
    age = poller.frame().age_seconds
    assert age is not None
    assert age.gpu is not None
    assert 0.75 < age.gpu < 1.2


async def test_a_model_server_that_ended_starts_its_life_anew(bench: Bench) -> None:
    poller = bench.poller()
    await bench.tick(poller)
    await bench.stop_server()
    await bench.tick(poller)
    states = [frame.engine.state for frame in bench.frames if frame.engine]
    assert states == [EngineState.READY, EngineState.LOADING]
    ages = [f.phases.engine_first_ready_age_seconds for f in bench.frames if f.phases]
    assert [age is None for age in ages] == [False, True]


async def test_a_failed_page_leaves_no_figure_and_no_age(bench: Bench) -> None:
    poller = bench.poller()
    await bench.tick(poller)
    bench.slow_seconds = 2.0  # beyond the page's timeout
    await bench.tick(poller)
    last = bench.frames[-1]
    assert last.engine is not None
    assert (last.engine.state, last.engine.pending) == (EngineState.FAILING, None)
    assert last.age_seconds is not None
    assert last.age_seconds.engine is None
    assert last.phases is not None
    assert last.phases.engine_first_ready_age_seconds is not None


async def test_gpus_are_read_every_other_tick_and_go_out_with_that_ticks_frame(
    bench: Bench, gpus: FakeGpus
) -> None:
    poller = bench.poller(tuple(gpus.uuids))
    await started(bench, poller)
    bench.frames.clear()
    for used in range(1, 8):
        gpus.set(0, memory_used_bytes=used * 10**10)
        await bench.tick(poller)
    sent = [frame.gpus[0].memory_used_bytes or 0 for frame in bench.frames if frame.gpus]
    read = [used // 10**10 for used in dict.fromkeys(sent) if used]
    assert read in ([1, 3, 5, 7], [2, 4, 6], [1, 3, 5], [2, 4])  # a late one is out after the end
    ages = [frame.age_seconds.gpu or 0.0 for frame in bench.frames if frame.age_seconds]
    assert min(ages) < 0.1


async def told(bench: Bench, poller: Poller, words: str) -> None:
    """Tick until the frame says these words of its GPUs."""
    deadline = time.monotonic() + 10
    why = ""
    while words not in why:
        assert time.monotonic() < deadline, why
        await bench.tick(poller)
        attribution = poller.frame().attribution
        why = (attribution.why if attribution else None) or ""


async def started(bench: Bench, poller: Poller) -> None:
    """Tick, a second of the clock each time, until the GPUs are in the frame."""
    deadline = time.monotonic() + 10
    while poller.frame().gpus is None:
        assert time.monotonic() < deadline
        await bench.tick(poller)


async def test_a_hang_of_nvml_makes_the_gpus_unknown_while_the_queue_goes_on(
    bench: Bench, gpus: FakeGpus
) -> None:
    poller = bench.poller(tuple(gpus.uuids))
    await started(bench, poller)
    gpus.hang(MEMORY)
    bench.waiting = 7.0
    began = time.monotonic()
    while poller.frame().gpus is not None:
        assert time.monotonic() - began < 2.0
        await bench.tick(poller)
    frame = poller.frame()
    assert frame.attribution is not None
    assert frame.attribution.how is None
    assert frame.attribution.why is not None
    assert frame.attribution.why.startswith("NVML did not answer within 0.5 s")
    assert frame.engine is not None
    assert frame.engine.pending == 7.0


async def test_visible_gpus_without_a_proof_are_withheld_with_the_reason(
    bench: Bench, gpus: FakeGpus
) -> None:
    assert gpus.uuids
    poller = bench.poller()
    await told(bench, poller, "no proof which GPUs are this pod's")
    assert poller.frame().gpus is None


async def test_a_new_reader_gets_the_recent_past_in_its_first_frame(bench: Bench) -> None:
    poller = bench.poller()
    bench.waiting = 4.0
    await bench.tick(poller, 12)
    first = poller.first_frame()
    assert first.backlog is not None
    assert first.backlog.series["pending"] == (4.0,)
    assert first.seq == bench.frames[-1].seq
    assert poller.frame().backlog is None


async def test_it_ticks_by_the_clock_until_it_is_cancelled(bench: Bench) -> None:
    poller = bench.poller(engine_seconds=0.2)
    task = asyncio.create_task(poller.run(bench.publish, Telemetry("0", poller.frame)))
    await asyncio.sleep(0.9)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert 3 <= bench.reads <= 5
    assert not [
        t for t in asyncio.all_tasks() if t is not asyncio.current_task() and "read" in str(t)
    ]
