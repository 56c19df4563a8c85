"""Streams for tests: a scripted HTTP server of frames, and what a Subscriber makes of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from adapter.intake.subscribe import Subscriber
from adapter.model.batch import Batch
from adapter.model.fleet import Fleet, Pod
from adapter.settings import Intake
from adapter.telemetry import Metrics
from sidecar import wire

SETTINGS = Intake(allow_loopback=True, connect_seconds=0.5, silence_seconds=0.6)
Write = Callable[[bytes], Awaitable[None]]


def line(seq: int, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "schema": wire.SCHEMA,
        "boot": "boot",
        "seq": seq,
        "period_seconds": 2.0,
        "uid": "u1",
        "age_seconds": wire.Ages(engine=0.1),
        "engine": wire.EngineReading("vllm", wire.EngineState.READY, pending=float(seq)),
    }
    return wire.encode(wire.Frame(**(fields | changes)))  # type: ignore[arg-type]


class Server:
    """Answers /v1/stream with what a test's script writes; counts the connections."""

    def __init__(self) -> None:
        self.script: Callable[[Write], Awaitable[None]] | None = None
        self.headers: dict[str, str] = {}
        self.status = 200
        self.connections = 0
        self.port = 0

    async def stream(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        response = web.StreamResponse(status=self.status, headers=self.headers)
        await response.prepare(request)
        if self.script is not None:
            await self.script(response.write)
        return response


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_get("/v1/stream", made.stream)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


def pod(port: int | None, ip: str = "127.0.0.1", **changes: object) -> Pod:
    fields: dict[str, object] = {
        "uid": "u1",
        "namespace": "default",
        "name": "llm-1",
        "labels": {},
        "phase": "Running",
        "ip": ip,
        "port": port,
    }
    return Pod(**(fields | changes))  # type: ignore[arg-type]


async def collect(
    subscriber: Subscriber, until: Callable[[Batch], bool], seconds: float = 5.0
) -> Batch:
    """Collect until the batch so far satisfies `until`."""
    readings, troubles = [], {}
    async with asyncio.timeout(seconds):
        while True:
            batch = subscriber.collect()
            readings += batch.readings
            troubles |= batch.troubles
            if until(whole := Batch(tuple(readings), troubles)):
                return whole
            await asyncio.sleep(0.02)


async def trouble_of(fleet: Fleet, settings: Intake = SETTINGS) -> str:
    async with Subscriber(settings, Metrics()) as subscriber:
        subscriber.follow(fleet)
        return (await collect(subscriber, lambda b: bool(b.troubles))).troubles["u1"]


def only(found: Pod) -> Fleet:
    return Fleet.of([found], version=1)
