"""Owns the proof of what a poll makes of its GPU readings: withheld, not believed, running out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from sidecar import fetch, wire
from sidecar.attribute import claim
from sidecar.gpu import Gpus
from sidecar.modelserver import ModelServer
from sidecar.poll import Periods, Poller
from sidecar.sample import Identity
from sidecar.settings import load
from sidecar.sharing import SharedGpu
from sidecar.telemetry import Telemetry
from sidecar.wire import Frame, GpuReading, Oom
from tests.fakes.nvml import FakeGpus

GB = 10**9


@dataclass
class Pod:
    """A poller of one GPU whose model server and clock the test holds; every tick is a second."""

    running: float = 0.0
    skipped_seconds: float = 0.0
    frames: list[Frame] = field(default_factory=list)
    poller: Poller = field(init=False)

    def clock(self) -> float:
        return time.monotonic() + self.skipped_seconds

    async def page(self, _: web.Request) -> web.Response:
        text = f"vllm:num_requests_waiting 0\nvllm:num_requests_running {self.running}\n"
        return web.Response(text=text)

    async def tick(self, times: int = 1) -> None:
        telemetry = Telemetry("0", self.poller.frame)
        for _ in range(times):
            await self.poller.tick(lambda line: self.frames.append(wire.decode(line)), telemetry)
            self.skipped_seconds += 1.0

    async def until(self, seen: Callable[[Frame], object]) -> Frame:
        deadline = time.monotonic() + 20
        while not seen(self.poller.frame()):
            assert time.monotonic() < deadline
            await self.tick()
        return self.poller.frame()


@asynccontextmanager
async def pod(uuid: str, rule: SharedGpu = SharedGpu.WITHHOLD) -> AsyncIterator[Pod]:
    found, app = Pod(), web.Application()
    app.router.add_get("/metrics", found.page)
    server, gpus = TestServer(app), Gpus(5.0, found.clock)
    await server.start_server(shutdown_timeout=0.1)
    argv = ["--engine", "vllm", "--engine-url", str(server.make_url("/metrics"))]
    async with fetch.session(5.0) as http:
        found.poller = Poller(
            identity=Identity("b", "u", 2.0, found.clock()),
            periods=Periods(1.0, 2.0, 2.0),
            server=ModelServer(load(argv, {}, "0").settings, http, found.clock),
            gpus=gpus,
            proven=lambda: claim((uuid,), None),
            shared_gpu=rule,
            clock=found.clock,
        )
        yield found
        await gpus.close()
    await server.close()


def gpu(frame: Frame) -> GpuReading:
    assert frame.gpus is not None
    return frame.gpus[0]


async def test_a_shared_gpu_is_withheld_with_the_reason_unless_it_is_allowed(
    gpus: FakeGpus,
) -> None:
    uuid, _ = gpus.split(0, (1, 0), (1, 1))
    async with pod(uuid) as withholding:
        said = "is shared with others"
        frame = await withholding.until(lambda f: f.attribution and said in str(f.attribution.why))
        assert frame.gpus is None
    async with pod(uuid, SharedGpu.ALLOW) as allowing:
        frame = await allowing.until(lambda f: f.gpus)
    assert (gpu(frame).shared, gpu(frame).memory_used_bytes) == (True, 0)


async def test_a_full_gpu_at_idle_power_under_an_idle_server_is_said_to_be_stuck(
    gpus: FakeGpus,
) -> None:
    gpus.set(0, busy_percent=100, power_milliwatts=75_000)
    async with pod(gpus.uuids[0]) as idle:
        frame = await idle.until(lambda f: f.gpus and f.gpus[0].stuck)
        assert "gpu_busy_percent" not in wire.levels(frame)
        idle.running = 4.0
        frame = await idle.until(lambda f: f.gpus and not f.gpus[0].stuck)
    assert wire.levels(frame)["gpu_busy_percent"] == 100.0


async def test_memory_that_runs_out_is_news_with_the_reason(gpus: FakeGpus) -> None:
    gpus.set(0, memory_used_bytes=80 * GB)
    async with pod(gpus.uuids[0]) as filling:
        await filling.until(lambda f: f.gpus)
        await filling.tick(12)
        assert filling.poller.frame().oom == Oom(near=False)
        for tick in range(12):
            gpus.set(0, memory_used_bytes=80 * GB + tick * GB // 4)
            await filling.tick()
        said = Oom(near=True, why=f"the memory of {gpus.uuids[0]} is full within a minute")
        assert filling.poller.frame().oom == said
        assert said in [frame.oom for frame in filling.frames]
