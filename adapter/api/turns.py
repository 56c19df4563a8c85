"""Turns: queries are answered one after another, callers in turn, and all else comes in between.

An answer takes up to some milliseconds of the loop. Where hundreds wait, whoever has one question
waits for one of each other caller, not for the hundred of the one who floods.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Hashable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_Line = deque[asyncio.Future[None]]
CALLER = web.RequestKey("caller", object)  # in whose line a request stands; else its address's


class Turns:
    """Lets one query through each time the loop comes round."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}  # whose turn is next stands first
        self._taken = False

    def middleware(self, at_once: Collection[str]) -> Middleware:
        """Return the aiohttp middleware; the routes of these names wait for nobody."""

        @web.middleware
        async def wait(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.match_info.route.name not in at_once:
                await self.take(request.get(CALLER, request.remote))
            return await handler(request)

        return wait

    async def take(self, caller: Hashable) -> None:
        """Return when it is the caller's turn."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next)
            return
        turn = loop.create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        await turn

    def _next(self) -> None:
        """Give the turn to the first who still waits; behind a turn comes everybody else's work."""
        while self._lines:
            caller = next(iter(self._lines))
            line = self._lines.pop(caller)
            turn = line.popleft()
            if line:
                self._lines[caller] = line
            if not turn.done():  # or the client has gone
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return
        self._taken = False
