"""An ops port for tests of subcommands, in a thread: a subcommand runs an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from adapter.ops import server
from adapter.ops.probes import Probes
from adapter.ops.server import Page
from adapter.settings import Ops
from adapter.telemetry import Metrics


@contextmanager
def serving(*pages: Page) -> Iterator[str]:
    """Serve the pages beside the probes; yield the URL."""
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        probes = Probes(read=lambda: None, now=lambda: 0.0, first_try_seconds=1.0)
        runner, port = await server.start(Ops("127.0.0.1", 0), probes, Metrics(), *pages)
        ports.append(port)
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
