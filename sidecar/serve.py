"""The HTTP face: `/v1/stream`, `/v1/sample`, `/metrics` and `/livez`; reads memory, never waits."""

from __future__ import annotations

import errno
import http
import logging
import socket

from aiohttp import web
from aiohttp.typedefs import Handler

from sidecar import log, wire
from sidecar.poll import Poller
from sidecar.streams import Streams
from sidecar.telemetry import CONTENT_TYPE, Telemetry

PATHS = ("/v1/stream", "/v1/sample", "/metrics", "/livez")
BACKLOG = 64


class ListenError(RuntimeError):
    """The address cannot be listened on; the text says why and what to change."""


def application(poller: Poller, streams: Streams, telemetry: Telemetry) -> web.Application:
    """Return the four endpoints; everything else is answered with JSON that names them."""

    async def stream(request: web.Request) -> web.StreamResponse:
        return await streams.serve(request, lambda: wire.encode(poller.first_frame()))

    async def sample(_: web.Request) -> web.Response:
        return web.Response(body=wire.encode(poller.frame()), content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(middlewares=[in_json], client_max_size=1)
    for path, handler in zip(PATHS, (stream, sample, metrics, livez), strict=True):
        app.router.add_get(path, handler)
    return app


@web.middleware
async def in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as JSON; a fault of ours goes to the log, not to the client."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, error.reason)
    except Exception:  # noqa: BLE001 - the border: nothing of a fault may reach a client
        log.logger.exception("a request failed")
        return _error(http.HTTPStatus.INTERNAL_SERVER_ERROR, "the sidecar failed; see its log")


def _error(status: int, reason: str) -> web.Response:
    body: dict[str, object] = {"error": reason}
    if status == http.HTTPStatus.NOT_FOUND:
        body = {"error": "there is nothing at this path", "paths": list(PATHS)}
    return web.json_response(body, status=status)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; `::` takes IPv4 too, and is `0.0.0.0` where IPv6 is off."""
    try:
        return _open(host, port)
    except OSError as error:
        if host == "::" and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            log.event(logging.INFO, "IPv6 is off here, listening on 0.0.0.0")
            return listen("0.0.0.0", port)
        raise ListenError(_why(host, port, error)) from error


def _open(host: str, port: int) -> socket.socket:
    if ":" not in host:
        return socket.create_server((host, port), backlog=BACKLOG)
    both = host == "::" and socket.has_dualstack_ipv6()
    family = socket.AF_INET6
    return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)


def _why(host: str, port: int, error: OSError) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    fixes = {
        errno.EADDRINUSE: "another process uses it; choose another --port",
        errno.EACCES: "this user may not use it; choose a --port above 1023",
        errno.EADDRNOTAVAIL: "no interface here has it; choose another --host",
    }
    why = fixes.get(error.errno or 0, error.strerror or str(error))
    return f"cannot listen on {where}: {why}"
