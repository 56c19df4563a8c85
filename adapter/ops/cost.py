"""The cost page: GPU-seconds of each workload as JSON, for `forescale cost`."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from adapter.model.spending import Spending, Spent
from adapter.ops.turn import Turn
from adapter.settings import Tariff

MAX_ACCOUNTS = 200  # a line of JSON is 1 KB, and an answer holds the loop until it is whole


class Costs(msgspec.Struct, frozen=True, rename="camel"):
    """GPU-seconds from `began_at` to `taken_at` (Unix seconds); `more` accounts were left out.

    `began_at` is None before the first tick; `tariff` is what the adapter's settings say.
    """

    taken_at: float
    began_at: float | None
    spent: tuple[Spent, ...]
    more: int = 0
    tariff: Tariff = Tariff()


class Cost:
    """Answers GET /cost[?namespace=…][&kind=…][&name=…]: what is not asked for is all."""

    path = "/cost"

    def __init__(
        self,
        spending: Spending,
        tariff: Callable[[], Tariff] = Tariff,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spending = spending
        self._tariff = tariff
        self._clock = clock
        self._turn = Turn()

    async def handle(self, request: web.Request) -> web.Response:
        """Return the Costs as JSON, those that held the most GPU-seconds first."""
        return await self._turn.answer(lambda: self._tell(dict(request.query)))

    def _tell(self, asked: dict[str, str]) -> Costs:
        chosen = [one for one in self._spending.told() if _is_asked(one, asked)]
        chosen.sort(key=lambda one: -sum(one.held_by_hour))
        more = max(0, len(chosen) - MAX_ACCOUNTS)
        shown = tuple(chosen[:MAX_ACCOUNTS])
        began = self._spending.began_wall
        return Costs(self._clock(), began, shown, more, self._tariff())


def _is_asked(one: Spent, asked: dict[str, str]) -> bool:
    workload = one.account.workload
    own = {"namespace": workload.namespace, "kind": workload.kind, "name": workload.name}
    return all(own[key] == asked[key] for key in own if asked.get(key))
