"""The why page: the story of one metric of one workload as JSON, for `forescale why`."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model import why
from adapter.model.catalogue import METRICS, Metric
from adapter.model.snapshot import Snapshot
from adapter.ops.turn import Turn

_NEEDED = ("namespace", "kind", "name", "metric")

# What a metric selector chooses; raises BadRequest where it cannot be understood.
Choose = Callable[[Metric, str], why.Choice]


class Why:
    """Answers GET /why?namespace=…&kind=…&name=…&metric=…[&metricLabelSelector=…]."""

    path = "/why"

    def __init__(self, read: Callable[[], Snapshot | None], choose: Choose) -> None:
        self._read = read
        self._choose = choose
        self._turn = Turn()

    async def handle(self, request: web.Request) -> web.Response:
        """Return the Story as JSON, or `{"error": words}` with the code of the error."""
        return await self._turn.answer(lambda: self._tell(dict(request.query)))

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
