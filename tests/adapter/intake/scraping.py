"""Pages for tests: real HTTP servers on loopback, and what a Subscriber's scrapes make of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from adapter.intake.subscribe import Subscriber
from adapter.model.batch import Batch
from adapter.model.fleet import MetricsPage, Pod, SourceKind
from adapter.settings import Intake
from adapter.telemetry import Metrics
from tests.adapter.intake.streaming import collect, only, pod

SETTINGS = Intake(allow_loopback=True, scrape_period_seconds=0.2, scrape_seconds=0.2)
LABELS = 'engine="0",model_name="demo"'
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def page(waiting: float, running: float = 2.0) -> str:
    return (
        f"vllm:num_requests_waiting{{{LABELS}}} {waiting}\n"
        f"vllm:num_requests_running{{{LABELS}}} {running}\n"
    )


@asynccontextmanager
async def listening(app: web.Application, port: int = 0) -> AsyncIterator[int]:
    """Serve the application on loopback; yields its port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def answering(handler: Handler) -> web.Application:
    """Return an application that answers any path with the handler."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    return app


def scraped(*ports: int, path: str = "/metrics", **changes: object) -> Pod:
    pages = tuple(MetricsPage("vllm", port, path) for port in ports)
    return pod(None, **({"source": SourceKind.SCRAPE, "pages": pages} | changes))  # type: ignore[arg-type]


async def heard(
    found: Pod, until: Callable[[Batch], bool], settings: Intake = SETTINGS, seconds: float = 5.0
) -> Batch:
    """Return what scraping the pod brought by the time that `until` is satisfied."""
    async with Subscriber(settings, Metrics()) as subscriber:
        subscriber.follow(only(found))
        return await collect(subscriber, until, seconds)


def figures(batch: Batch) -> list[dict[str, float]]:
    return [{point.series: point.value for point in one.points} for one in batch.readings]


async def tick(seconds: float, lags: list[float]) -> None:
    """Note by how much the event loop is late, until cancelled."""
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        await asyncio.sleep(seconds)
        lags.append(clock() - began - seconds)
