"""The events: the board as server-sent events, one frame for all who watch, and not for too many.

Whoever watches holds a connection: there is a bound for all and for one address, a deadline for
each write, and an end after some minutes, after which a browser connects again by itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from adapter.ops.assets import NO_STORE

MAX_VIEWERS = 32
MAX_PER_PEER = 8  # people behind one proxy share its address
WRITE_SECONDS = 5.0  # who has not read 64 KiB by then is gone
LIFE_SECONDS = 900.0
RETRY_MILLISECONDS = 3000

_HEADERS = {**NO_STORE, "Content-Type": "text/event-stream; charset=utf-8"}


class Events:
    """Answers GET /status/events; `read` gives the newest board as one line of JSON."""

    path = "/status/events"

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._changed = asyncio.Event()
        self._viewers: Counter[str] = Counter()
        self._closed = False

    @property
    def viewers(self) -> int:
        return self._viewers.total()

    def tell(self) -> None:
        """Let everybody have the board as it is now."""
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Let everybody go, for good."""
        self._closed = True
        self.tell()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Send the board now and whenever it changes; 503 in words where there are too many."""
        peer = request.remote or ""
        if self._closed or self.viewers >= MAX_VIEWERS or self._viewers[peer] >= MAX_PER_PEER:
            why = f"{self.viewers} people watch already, {self._viewers[peer]} from your address"
            return web.Response(status=503, text=why, headers=NO_STORE)
        self._viewers[peer] += 1
        try:
            return await self._stream(request)
        finally:
            self._viewers -= Counter((peer,))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS)
        clock = asyncio.get_running_loop().time
        ends = clock() + LIFE_SECONDS
        try:
            await response.prepare(request)
            await response.write(b"retry: %d\n\n" % RETRY_MILLISECONDS)
            while not self._closed and clock() < ends:
                changed = self._changed
                async with asyncio.timeout(WRITE_SECONDS):
                    await response.write(b"data: %b\n\n" % self._read())
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(ends):
                        await changed.wait()
        except ConnectionError:  # it has left
            pass
        except TimeoutError:  # it does not read; what waits for it is let go
            if request.transport is not None:
                request.transport.abort()
        return response
