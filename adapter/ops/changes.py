"""The changes: what one workload's replicas and wishes did of late as JSON, for `forescale why`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from adapter.errors import NotFound
from adapter.model.decisions import Decision, Decisions
from adapter.model.exits import Workload
from adapter.ops.cells import clean
from adapter.ops.turn import Turn


class Told(msgspec.Struct, frozen=True):
    """The changes that this replica saw since `since` (Unix seconds), the newest first."""

    since: float
    changes: tuple[Decision, ...]


class Changes:
    """Answers GET /status/changes?namespace=…&kind=…&name=…, for a while also of what has gone."""

    path = "/status/changes"

    def __init__(self, read: Callable[[Workload], Decisions | None]) -> None:
        self._read = read
        self._turn = Turn()

    async def handle(self, request: web.Request) -> web.Response:
        """Return Told as JSON, or `{"error": words}` with 404."""
        return await self._turn.answer(lambda: self._tell(dict(request.query)))

    def _tell(self, asked: dict[str, str]) -> Told:
        wanted = Workload(*(asked.get(key, "") for key in ("namespace", "kind", "name")))
        found = self._read(wanted)
        if found is None or found.since is None:
            raise NotFound("no such workload had a row on the status page lately")
        kept = (Decision(one.at, clean(one.words), one.scaled) for one in found.kept)
        return Told(found.since, tuple(kept))
