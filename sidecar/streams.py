"""The streams: every open `/v1/stream`, each with a short queue of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web

from sidecar.telemetry import Telemetry

# Two adapter replicas during a rolling update are four; the rest is for people with curl.
MAX_STREAMS = 16
# A reader that is this many frames behind, half a minute at the heartbeat, is gone.
MAX_QUEUED = 16
# What the kernel may hold for one reader, so that "behind" is noticed while it is little.
SEND_BUFFER_BYTES = 64 * 1024


class Stream:
    """One reader: frames wait here while the connection takes the ones before."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_QUEUED)

    def offer(self, line: bytes) -> bool:
        """Queue a frame; return False, and cut the connection, when the reader is too slow."""
        try:
            self._lines.put_nowait(line)
        except asyncio.QueueFull:
            self._transport.abort()
            return False
        return True

    def close(self) -> None:
        """Let the reader see a clean end after what is queued."""
        if self._lines.full():
            self._lines.get_nowait()
        self._lines.put_nowait(None)

    async def pump(self, response: web.StreamResponse) -> None:
        """Write frames until the end is queued; raise ConnectionError when the reader is gone."""
        while (line := await self._lines.get()) is not None:
            await response.write(line)


class Streams:
    """Publishes each frame, encoded once, to all readers."""

    def __init__(self, telemetry: Telemetry, most: int = MAX_STREAMS) -> None:
        self._telemetry = telemetry
        self._most = most
        self._open: set[Stream] = set()

    def publish(self, line: bytes) -> None:
        """Hand one encoded frame to every reader; never wait."""
        for stream in list(self._open):
            if not stream.offer(line):
                self._open.discard(stream)
                self._telemetry.streams_dropped.inc()

    def close(self) -> None:
        """End all streams cleanly."""
        for stream in self._open:
            stream.close()

    async def serve(
        self, request: web.Request, first_line: Callable[[], bytes]
    ) -> web.StreamResponse:
        """Answer one reader: its first frame, then every frame published from then on."""
        stream = self._admit(request)
        stream.offer(first_line())
        self._open.add(stream)
        self._telemetry.streams.set(len(self._open))
        response = web.StreamResponse(headers={"Cache-Control": "no-store"})
        response.content_type = "application/x-ndjson"
        try:
            await response.prepare(request)
            await stream.pump(response)
            await response.write_eof()
        except ConnectionError:
            pass  # the reader left, or was cut off for being too slow
        finally:
            self._open.discard(stream)
            self._telemetry.streams.set(len(self._open))
        return response

    def _admit(self, request: web.Request) -> Stream:
        transport = request.transport
        if len(self._open) >= self._most or transport is None:
            self._telemetry.streams_refused.inc()
            raise web.HTTPServiceUnavailable(
                reason=f"all {self._most} streams are taken; ask for /v1/sample instead"
            )
        _bound(transport)
        return Stream(transport)


def _bound(transport: asyncio.Transport) -> None:
    transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
