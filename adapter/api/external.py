"""external.metrics.k8s.io: the answers about workloads that a metric's selector names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from aiohttp import web

from adapter.api import query as queries
from adapter.api import values
from adapter.api.answers import Answers, metric_named
from adapter.api.query import shown
from adapter.errors import BadRequest, NotFound
from adapter.model.catalogue import EXTERNAL_GROUP, EXTERNAL_VERSION, Metric
from adapter.model.owners import Kind, Owners
from adapter.model.queried import Key
from adapter.model.snapshot import Answer, Snapshot, TotalKey
from adapter.model.target import DESIRED_REPLICAS, FORECASTS

PATH = (
    f"/apis/{EXTERNAL_GROUP}/{{version:{EXTERNAL_VERSION}}}/namespaces/{{namespace}}"
    "/{metric}{slash:/?}"
)


class Plan(NamedTuple):
    """What was asked for, understood: the metric's name, the selector's terms, and the asking."""

    metric: str
    labels: dict[str, str]
    ask: Callable[[Snapshot], Answer]


class External:
    """Answers queries of external.metrics.k8s.io: one item, since an HPA adds up all there are."""

    def __init__(self, answers: Answers, owners: Owners) -> None:
        self._answers = answers
        self._owners = owners

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one GET of `PATH`; raise an AnswerError where there is no value."""
        return self._answers.respond(request, self._build)

    def _build(self, snapshot: Snapshot, request: web.Request) -> bytes:
        return self.answer(snapshot, request.match_info, request.query)

    def answer(
        self, snapshot: Snapshot, place: Mapping[str, str], parameters: Mapping[str, str]
    ) -> bytes:
        """Return the encoded ExternalMetricValueList of one workload."""
        plan = self.plan(place["metric"], place["namespace"], parameters)
        return values.encode_external(plan.metric, plan.labels, plan.ask(snapshot))

    def plan(
        self,
        metric: str,
        namespace: str,
        parameters: Mapping[str, str],
        parameter: str = queries.SELECTOR,
    ) -> Plan:
        """Return what the selector in the `parameter` asks for; raise an AnswerError if nothing.

        The metric's name is taken in any case: client-go writes all of them in small letters.
        """
        called = metric.lower()
        if kinds := self._answers.board().kinds(called):
            return self._queried(called, namespace, parameters, parameter, kinds)
        if called == DESIRED_REPLICAS:
            workload, word, labels = queries.parse_workload(called, parameters, parameter)
            kind = self._kind(parameter, word)
            return Plan(
                called, labels, lambda now: self._answers.desired(now, kind, namespace, workload)
            )
        found = metric_named(called)
        query = queries.parse_external(
            found, parameters, ahead=called in FORECASTS, parameter=parameter
        )
        kind = self._kind(parameter, query.kind)
        where = (namespace, kind.qualified, query.workload)
        key = TotalKey(*where, found.name, query.view, query.dims, query.agg)
        ask = self._answers.ahead if query.ahead else self._answers.whole
        return Plan(
            called,
            query.labels,
            lambda now: self._observed(now, found, ask(now, found, kind, key)),
        )

    def _observed(self, snapshot: Snapshot, metric: Metric, found: Answer) -> Answer:
        self._answers.observe(snapshot, metric, found)
        return found

    def _queried(
        self,
        metric: str,
        namespace: str,
        parameters: Mapping[str, str],
        parameter: str,
        kinds: Sequence[Kind],
    ) -> Plan:
        """Plan for a metric that is a query, which has no views."""
        workload, word, labels = queries.parse_workload(metric, parameters, parameter)
        kind = self._kind(parameter, word)
        if kind not in kinds:
            served = ", ".join(kind.kind for kind in kinds)
            raise NotFound(f"{metric} is a query's, and served for {served} alone: say kind=…")
        key = Key(metric, kind.qualified, namespace, workload)
        return Plan(metric, labels, lambda now: self._answers.queried(now, key))

    def _kind(self, parameter: str, word: str) -> Kind:
        kind = self._owners.named_in_any_case(word)
        if kind is None:
            served = ", ".join(self._owners.names())
            raise BadRequest(f"{parameter}: kind={shown(word)} is not known; known are {served}")
        return kind
