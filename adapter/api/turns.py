"""Turns: queries are answered one after another, callers in turn, and all else comes in between.

An answer takes up to some milliseconds of the loop. Where hundreds wait, whoever has one question
waits for one of each other caller, not for the hundred of the one who floods.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Hashable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from adapter.errors import Unavailable

# As many as the connections of one stranger (connection.MAX_PER_PEER): a line whose clients have
# gone holds no connection any more, so that only this bounds it.
MAX_WAITING = 256
GONE = "the client has gone: nobody reads the answer"

_Gone = Callable[[], bool]
_Line = deque[tuple[asyncio.Future[None], _Gone]]
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
                await self.take(request.get(CALLER, request.remote), lambda: _has_gone(request))
            return await handler(request)

        return wait

    async def take(self, caller: Hashable, gone: _Gone = lambda: False) -> None:
        """Return when it is the caller's turn.

        Raises Unavailable where the caller's line is full, and where `gone` says that nobody is
        there any more to read an answer; such a turn goes on to the next at once.
        """
        if gone():
            raise Unavailable(GONE)
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next)
            return
        line = self._lines.setdefault(caller, deque())
        if len(line) >= MAX_WAITING:
            raise Unavailable(
                f"{MAX_WAITING} queries of this caller wait already: ask fewer at a time"
            )
        turn = loop.create_future()
        line.append((turn, gone))
        await turn

    def _next(self) -> None:
        """Give the turn to the first who still waits; behind a turn comes everybody else's work."""
        while self._lines:
            caller = next(iter(self._lines))
            line = self._lines.pop(caller)
            turn, gone = line.popleft()
            if line:
                self._lines[caller] = line
            if turn.done():  # it was cancelled
                continue
            if gone():
                turn.set_exception(Unavailable(GONE))
            else:
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return
        self._taken = False


def _has_gone(request: web.Request) -> bool:
    """Return whether the client has closed; aiohttp cancels nothing then."""
    return request.transport is None or request.transport.is_closing()
