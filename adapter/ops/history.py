"""The history: one workload's course as JSON, for the chart of the status page."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from adapter.errors import NotFound
from adapter.model.course import Story
from adapter.model.exits import Workload
from adapter.ops.turn import Turn


class History:
    """Answers GET /status/history?namespace=…&kind=…&name=… for a workload that has a row."""

    path = "/status/history"

    def __init__(self, read: Callable[[Workload], Story | None]) -> None:
        self._read = read
        self._turn = Turn()

    async def handle(self, request: web.Request) -> web.Response:
        """Return the Story as JSON, or `{"error": words}` with 404."""
        return await self._turn.answer(lambda: self._tell(dict(request.query)))

    def _tell(self, asked: dict[str, str]) -> Story:
        wanted = Workload(*(asked.get(key, "") for key in ("namespace", "kind", "name")))
        story = self._read(wanted)
        if story is None:
            raise NotFound("no such workload has a row on the status page")
        return story
