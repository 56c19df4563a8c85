"""The ops port: probes, /metrics and pages for people in plain HTTP, for whoever can connect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from adapter.listen import BACKLOG, Gate, listen
from adapter.ops.probes import Check, Probes
from adapter.settings import Ops
from adapter.telemetry import Metrics

# A kubelet, a Prometheus and some people; any pod can connect, and 30,000 connections are the whole
# memory limit.
MAX_CONNECTIONS = 512
MAX_PER_PEER = 32


class Page(Protocol):
    """One page, at its own path."""

    path: str

    async def handle(self, request: web.Request, /) -> web.StreamResponse: ...


class Connection(web.RequestHandler):
    """aiohttp's connection, closed at once where its peer has too many."""

    __slots__ = ("_gate", "_peer")

    def __init__(self, server: web.Server, gate: Gate, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, access_log=None)  # type: ignore[arg-type] # keeps none
        self._gate = gate
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._gate.enter(peer):
            transport.close()
            return
        self._peer = peer
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._peer is not None:
            self._gate.leave(self._peer)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._peer is not None:
            super().data_received(data)


def application(probes: Probes, metrics: Metrics, *pages: Page) -> web.Application:
    """Return the routes."""
    app = web.Application()
    app.router.add_get("/livez", _probe(probes.live))
    app.router.add_get("/readyz", _probe(probes.ready))

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def front(_: web.Request) -> web.Response:
        # Relative, so that it holds behind a proxy's path too.
        return web.Response(status=302, headers={"Location": "status"})

    app.router.add_get("/", front)
    app.router.add_get("/metrics", exposition)
    for page in pages:
        app.router.add_get(page.path, page.handle)
    return app


def _probe(
    checks: Callable[[], tuple[Check, ...]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        found = checks()
        failed = [check for check in found if not check.passed]
        shown = found if failed or "verbose" in request.query else ()
        lines = [f"[{'+' if c.passed else '-'}]{c.name}: {c.words}" for c in shown]
        return web.Response(
            status=503 if failed else 200, text="\n".join([*lines, _verdict(failed)])
        )

    return answer


def _verdict(failed: list[Check]) -> str:
    return f"not ok: {', '.join(check.name for check in failed)}" if failed else "ok"


async def start(
    settings: Ops, probes: Probes, metrics: Metrics, *pages: Page
) -> tuple[web.AppRunner, int]:
    """Listen and return the runner and the port; raise StartupError naming the port if taken."""
    listening = listen("ops", settings.host, settings.port)
    listeners: list[asyncio.Server] = []
    app = application(probes, metrics, *pages)

    async def close(_: web.Application) -> None:
        for listener in listeners:
            listener.close()

    app.on_shutdown.append(close)
    runner = web.AppRunner(app)
    await runner.setup()
    server, gate = runner.server, Gate(MAX_CONNECTIONS, MAX_PER_PEER)
    assert server is not None  # noqa: S101 - setup makes it
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: Connection(server, gate, loop=loop), sock=listening, backlog=BACKLOG
    )
    listeners.append(listener)
    return runner, int(listening.getsockname()[1])
