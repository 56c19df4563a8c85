"""The why page: the story of one metric of one workload as JSON, for `forescale why`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from adapter.errors import AnswerError, BadRequest, NotFound, NoValue
from adapter.model import why
from adapter.model.catalogue import METRICS, Metric
from adapter.model.snapshot import Snapshot

PATH = "/why"
# A story costs 20 us a pod, and whoever can connect may ask: of the core that answers HPAs all of
# them together take a fifth at most.
REST = 4.0
_NEEDED = ("namespace", "kind", "name", "metric")

# What a metric selector chooses; raises BadRequest where it cannot be understood.
Choose = Callable[[Metric, str], why.Choice]


class Why:
    """Answers GET /why?namespace=…&kind=…&name=…&metric=…[&metricLabelSelector=…]."""

    def __init__(self, read: Callable[[], Snapshot | None], choose: Choose) -> None:
        self._read = read
        self._choose = choose
        self._turn = asyncio.Lock()

    async def handle(self, request: web.Request) -> web.Response:
        """Return the Story as JSON, or `{"error": words}` with the code of the error.

        One is told at a time, and after each there is a rest.
        """
        clock = asyncio.get_running_loop().time
        async with self._turn:
            began = clock()
            response = self._answer(request)
            await asyncio.sleep(REST * (clock() - began))
        return response

    def _answer(self, request: web.Request) -> web.Response:
        try:
            body = msgspec.json.encode(self._tell(dict(request.query)))
        except AnswerError as error:
            body = msgspec.json.encode({"error": str(error)})
            return web.Response(status=error.code, body=body, content_type="application/json")
        return web.Response(body=body, content_type="application/json")

    def _tell(self, asked: dict[str, str]) -> why.Story:
        missing = [key for key in _NEEDED if not asked.get(key)]
        if missing:
            raise BadRequest(f"missing: {', '.join(missing)}; needed are {', '.join(_NEEDED)}")
        metric = METRICS.get(asked["metric"])
        if metric is None:
            raise NotFound(f"no such metric; served are {', '.join(METRICS)}")
        choice = self._choose(metric, asked.get("metricLabelSelector", ""))
        snapshot = self._read()
        if snapshot is None:
            raise NoValue("the adapter has just started and has taken no snapshot yet")
        place = {key: asked[key] for key in ("namespace", "kind", "name")}
        story = why.tell(snapshot, metric, choice, **place)
        if story is None:
            raise NotFound(
                f"{place['kind']} {place['name'][:100]} has no pod with a source: label its pod"
                " template forescale.dev/source"
            )
        return story
