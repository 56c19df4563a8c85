"""The streams: every open `/v1/stream`, each with a short queue of its own."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from sidecar.telemetry import Telemetry

# Two adapter replicas during a rolling update are four; the rest is for people with curl.
MAX_STREAMS = 16
# An adapter's replica needs one. Where a network hides pods behind their node, the replicas of a
# rolling restart share an address, and those that drain still hold theirs: two that serve, one
# more, and up to five on their way out. Nobody takes all places.
MAX_STREAMS_PER_PEER = 8
# A reader that is this many frames behind, half a minute at the heartbeat, is gone.
MAX_QUEUED = 16
# What the kernel may hold for one reader, so that "behind" is noticed while it is little.
SEND_BUFFER_BYTES = 64 * 1024


class Stream:
    """One reader at one address: frames wait here while the connection takes the ones before."""

    def __init__(self, transport: asyncio.Transport, peer: str) -> None:
        self.peer = peer
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

    @property
    def gone(self) -> bool:
        """Whether the reader left; its place is free before the next frame finds out."""
        return self._transport.is_closing()

    def cut(self) -> None:
        """End the stream at once, also when its reader takes nothing any more."""
        self._transport.abort()
        self.close()

    async def pump(self, response: web.StreamResponse) -> None:
        """Write frames until the end is queued; raise ConnectionError when the reader is gone."""
        while (line := await self._lines.get()) is not None:
            await response.write(line)


class Streams:
    """Publishes each frame, encoded once, to all readers."""

    def __init__(self, telemetry: Telemetry, most: int = MAX_STREAMS) -> None:
        self._telemetry = telemetry
        self._most = most
        self._open: dict[Stream, None] = {}  # in the order of their opening

    def publish(self, line: bytes) -> None:
        """Hand one encoded frame to every reader; never wait."""
        for stream in list(self._open):
            if not stream.offer(line):
                self._drop(stream)

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
        self._open[stream] = None
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
            self._open.pop(stream, None)
            self._telemetry.streams.set(len(self._open))
        return response

    def _admit(self, request: web.Request) -> Stream:
        """Return a stream with a place: when all are taken, that of the address with most."""
        transport, peer = request.transport, request.remote or ""
        taken = Counter(stream.peer for stream in self._open if not stream.gone)
        if transport is None or taken[peer] >= MAX_STREAMS_PER_PEER:
            self._telemetry.streams_refused.inc()
            raise web.HTTPServiceUnavailable(
                reason=f"this address has {taken[peer]} streams, the most that one may have;"
                " ask for /v1/sample instead"
            )
        if taken.total() >= self._most:
            most = max(taken.values())
            oldest = next(s for s in self._open if taken[s.peer] == most and not s.gone)
            oldest.cut()
            self._drop(oldest)
        _bound(transport)
        return Stream(transport, peer)

    def _drop(self, stream: Stream) -> None:
        self._open.pop(stream, None)
        self._telemetry.streams_dropped.inc()


def _bound(transport: asyncio.Transport) -> None:
    transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
