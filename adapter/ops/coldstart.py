"""The cold start page: how long pods take to start as JSON, for `forescale coldstart`."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from adapter.errors import NotFound
from adapter.model.exits import Workload
from adapter.model.starting import Starting
from adapter.model.startstory import StartStory, tell
from adapter.ops.turn import Turn

MAX_WORKLOADS = 50  # a story costs 0.6 ms, and an answer holds the loop until it is whole


class Stories(msgspec.Struct, frozen=True, rename="camel"):
    """What was asked for at one moment (Unix seconds); `more` workloads were left out."""

    taken_at: float
    workloads: tuple[StartStory, ...]
    more: int = 0


class ColdStart:
    """Answers GET /coldstart[?namespace=…][&kind=…][&name=…]: what is not asked for is all."""

    path = "/coldstart"

    def __init__(self, starting: Starting, clock: Callable[[], float] = time.time) -> None:
        self._starting = starting
        self._clock = clock
        self._turn = Turn()

    async def handle(self, request: web.Request) -> web.Response:
        """Return the Stories as JSON, or `{"error": words}` with 404."""
        return await self._turn.answer(lambda: self._tell(dict(request.query)))

    def _tell(self, asked: dict[str, str]) -> Stories:
        now = self._clock()
        known = self._starting.workloads()
        chosen = [workload for workload in known if _is_asked(workload, asked)]
        if not chosen and asked.get("name"):
            raise NotFound(
                f"nothing is known of a start of {asked['name'][:100]}: no pod of it with a source"
                " was seen on its way to serving"
            )
        stories = tuple(tell(self._starting, one, now) for one in chosen[:MAX_WORKLOADS])
        return Stories(now, stories, max(0, len(chosen) - MAX_WORKLOADS))


def _is_asked(workload: Workload, asked: dict[str, str]) -> bool:
    own = {"namespace": workload.namespace, "kind": workload.kind, "name": workload.name}
    return all(own[key] == asked[key] for key in own if asked.get(key))
