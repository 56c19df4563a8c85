"""The why page: the story of one metric of one workload as JSON, for `forescale why`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from aiohttp import web

from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model import overview, selected, selector, why
from adapter.model.catalogue import Metric
from adapter.model.owners import Kind
from adapter.model.queried import NOTHING, Board, Key
from adapter.model.snapshot import Snapshot
from adapter.model.target import DESIRED_REPLICAS, SERVED, metric_of
from adapter.ops.turn import Turn

_NEEDED = ("namespace", "kind", "name", "metric")

# What a metric selector chooses of a name; raises an AnswerError where it cannot be understood.
Choose = Callable[[str, Metric, str], why.Choice]


class Why:
    """Answers GET /why?namespace=…&kind=…&name=…&metric=…[&metricLabelSelector=…].

    With `labelSelector`, an HPA's, the other pods that it matches are told too.
    """

    path = "/why"

    def __init__(
        self,
        read: Callable[[], Snapshot | None],
        choose: Choose,
        board: Callable[[], Board] = lambda: NOTHING,
    ) -> None:
        self._read = read
        self._choose = choose
        self._board = board
        self._turn = Turn()

    async def handle(self, request: web.Request) -> web.Response:
        """Return the Story as JSON, or `{"error": words}` with the code of the error."""
        return await self._turn.answer(lambda: self._tell(dict(request.query)))

    def _tell(self, asked: dict[str, str]) -> why.Story:
        missing = [key for key in _NEEDED if not asked.get(key)]
        if missing:
            raise BadRequest(f"missing: {', '.join(missing)}; needed are {', '.join(_NEEDED)}")
        name, views = asked["metric"], asked.get("metricLabelSelector", "")
        place = {key: asked[key] for key in ("namespace", "kind", "name")}
        kinds, metric = self._board().kinds(name), metric_of(name)
        if metric is None and name != DESIRED_REPLICAS and not kinds:
            raise NotFound(_no_metric(name, self._served()))
        if metric is None and views:
            raise BadRequest(f"metricLabelSelector: {name} has no views to choose from")
        choice = self._choose(name, metric, views) if metric else None
        snapshot = self._read()
        if snapshot is None:
            raise NoValue("the adapter has just started and has taken no snapshot yet")
        if kinds:
            return why.tell_queried(snapshot, self._board(), _key(name, kinds, **place))
        if metric is None or choice is None:
            story = why.tell_desired(snapshot, **place)
        elif labels := asked.get("labelSelector"):
            story = selected.tell(snapshot, metric, choice, _parsed(labels), **place)
        else:
            story = why.tell(snapshot, metric, choice, **place)
        if story is None:
            raise NotFound(overview.unknown(snapshot.fleet, **place))
        return story

    def _served(self) -> tuple[str, ...]:
        queried = dict.fromkeys(metric for metric, _ in self._board().served)
        return (*SERVED, *queried)


def _parsed(labels: str) -> selector.Selector:
    try:
        return selector.parse(labels)
    except ValueError as error:
        raise BadRequest(f"labelSelector: {error}") from error


def _no_metric(name: str, served: Sequence[str]) -> str:
    near = get_close_matches(name.lower(), served, n=1)
    meant = f"; did you mean {near[0]}?" if near else f"; served are {', '.join(served)}"
    return f"no metric is called {name[:100]}{meant}"


def _key(metric: str, kinds: Sequence[Kind], *, namespace: str, kind: str, name: str) -> Key:
    found = next((one for one in kinds if kind in (one.kind, one.qualified)), None)
    if found is None:
        served = ", ".join(one.kind for one in kinds)
        raise NotFound(f"{metric} is a query's, and served for {served} alone")
    return Key(metric, found.qualified, namespace, name)
