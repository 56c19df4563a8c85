"""external.metrics.k8s.io: the answers about workloads that a metric's selector names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from adapter.api import query as queries
from adapter.api import values
from adapter.api.answers import Answers, metric_named
from adapter.api.query import shown
from adapter.errors import NotFound
from adapter.model.catalogue import EXTERNAL_GROUP, EXTERNAL_VERSION
from adapter.model.owners import Kind, Owners
from adapter.model.queried import Key
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.target import DESIRED_REPLICAS, FORECASTS

PATH = (
    f"/apis/{EXTERNAL_GROUP}/{{version:{EXTERNAL_VERSION}}}/namespaces/{{namespace}}"
    "/{metric}{slash:/?}"
)


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
        """Return the encoded ExternalMetricValueList of one workload.

        The metric's name is taken in any case: client-go writes all of them in small letters.
        """
        called = place["metric"].lower()
        if kinds := self._answers.board().kinds(called):
            return self._queried(snapshot, called, place["namespace"], parameters, kinds)
        if called == DESIRED_REPLICAS:
            return self._desired(snapshot, place["namespace"], parameters)
        metric = metric_named(called)
        query = queries.parse_external(metric, parameters, ahead=called in FORECASTS)
        kind = self._kind(query.kind)
        where = (place["namespace"], kind.qualified, query.workload)
        key = TotalKey(*where, metric.name, query.view, query.dims, query.agg)
        ask = self._answers.ahead if query.ahead else self._answers.whole
        found = ask(snapshot, metric, kind, key)
        self._answers.observe(snapshot, metric, found)
        return values.encode_external(called, query.labels, found)

    def _queried(
        self,
        snapshot: Snapshot,
        metric: str,
        namespace: str,
        parameters: Mapping[str, str],
        kinds: Sequence[Kind],
    ) -> bytes:
        """Answer for a metric that is a query, which has no views."""
        workload, word, labels = queries.parse_workload(metric, parameters)
        kind = self._kind(word)
        if kind not in kinds:
            served = ", ".join(kind.kind for kind in kinds)
            raise NotFound(f"{metric} is a query's, and served for {served} alone: say kind=…")
        found = self._answers.queried(snapshot, Key(metric, kind.qualified, namespace, workload))
        return values.encode_external(metric, labels, found)

    def _desired(self, snapshot: Snapshot, namespace: str, parameters: Mapping[str, str]) -> bytes:
        """Answer how many replicas a workload needs, which has no views."""
        workload, word, labels = queries.parse_workload(DESIRED_REPLICAS, parameters)
        found = self._answers.desired(snapshot, self._kind(word), namespace, workload)
        return values.encode_external(DESIRED_REPLICAS, labels, found)

    def _kind(self, word: str) -> Kind:
        kind = self._owners.named(word)
        if kind is None:
            served = ", ".join(self._owners.names())
            raise NotFound(f"labelSelector: kind={shown(word)} is not known; known are {served}")
        return kind
