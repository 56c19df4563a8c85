"""The turn: of the pages that cost work one is made at a time, and after each there is a rest.

Whoever can connect may ask: of the core that answers HPAs all askers of a page together take a
fifth at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from adapter.errors import AnswerError

REST = 4.0  # times what the answer took


class Turn:
    """Makes one page's answers, each when its turn has come."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def answer(self, tell: Callable[[], msgspec.Struct]) -> web.Response:
        """Return what is told as JSON, or `{"error": words}` with the code of the error."""
        clock = asyncio.get_running_loop().time
        async with self._turn:
            began = clock()
            response = _response(tell)
            await asyncio.sleep(REST * (clock() - began))
        return response


def _response(tell: Callable[[], msgspec.Struct]) -> web.Response:
    try:
        body = msgspec.json.encode(tell())
    except AnswerError as error:
        body = msgspec.json.encode({"error": str(error)})
        return web.Response(status=error.code, body=body, content_type="application/json")
    return web.Response(body=body, content_type="application/json")
