"""custom.metrics.k8s.io: the answers about pods and their owners, from the Snapshot alone."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from aiohttp import web

from adapter.api import query as queries
from adapter.api import values
from adapter.api.query import Query
from adapter.api.values import Subject
from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model.asked import Asked
from adapter.model.catalogue import (
    GROUP,
    METRICS,
    OWNER_API_VERSION,
    OWNER_RESOURCES,
    Metric,
)
from adapter.model.selector import EVERYTHING
from adapter.model.snapshot import Answer, Snapshot, TotalKey
from adapter.telemetry import Metrics

PATH = (
    f"/apis/{GROUP}/{{version:v1beta1|v1beta2}}/namespaces/{{namespace}}"
    "/{resource}/{name}/{metric}{slash:/?}"
)
# An answer lives for one tick at most; the bounds hold off a caller who never asks twice the same.
MEMO_ENTRIES = 1024
MEMO_BYTES = 16 * 2**20
OBSERVED_ITEMS = 25
_SHOWN = 100  # characters of a caller's word in an error


class Custom:
    """Answers queries; holds no state but the encoded answers of the present Snapshot."""

    def __init__(
        self,
        *,
        read: Callable[[], Snapshot | None],
        asked: Asked,
        now: Callable[[], float],
        metrics: Metrics,
        stall_seconds: float,
    ) -> None:
        self._read = read
        self._asked = asked
        self._now = now
        self._metrics = metrics
        self._stall_seconds = stall_seconds
        self._memo = Memo()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one GET of `PATH`; raise an AnswerError where there is no value."""
        snapshot = self._snapshot()
        key = str(request.rel_url)
        body = self._memo.get(snapshot, key)
        if body is None:
            body = self.answer(snapshot, request.match_info, request.query)
            self._memo.put(key, body)
        return web.Response(body=body, content_type="application/json")

    def answer(
        self, snapshot: Snapshot, place: Mapping[str, str], parameters: Mapping[str, str]
    ) -> bytes:
        """Return the encoded MetricValueList of one place in the URL space."""
        metric = _metric(place["metric"])
        query = queries.parse(metric, place["name"], parameters)
        owner = _owner(place["resource"], metric)
        if owner is None:
            found = _of_pods(snapshot, metric, query, place["namespace"], place["name"])
        else:
            where = (place["namespace"], owner, place["name"])
            key = TotalKey(*where, metric.name, query.view, query.dims)
            found = self._of_owner(snapshot, metric, query, key)
        self._observe(snapshot, metric, found)
        kind = owner or "Pod"
        object_version = OWNER_API_VERSION.get(kind, "v1")
        group_version = f"{GROUP}/{place['version']}"
        subject = Subject(group_version, metric.name, place["namespace"], kind, object_version)
        return values.encode(subject, found)

    def _snapshot(self) -> Snapshot:
        snapshot = self._read()
        if snapshot is None:
            raise NoValue("the adapter has just started and has taken no snapshot yet")
        age = self._now() - snapshot.at
        if age > self._stall_seconds:
            raise NoValue(f"the adapter's own loop has stood still for {age:.0f} s")
        return snapshot

    def _of_owner(self, snapshot: Snapshot, metric: Metric, query: Query, key: TotalKey) -> Answer:
        if query.selector is not EVERYTHING:
            raise BadRequest("labelSelector: a workload is asked for by its name alone")
        if not snapshot.fleet.owned(key.namespace, key.kind, key.name).pods:
            raise NotFound(
                f"{key.kind} {_shown(key.name)} in namespace {_shown(key.namespace)} has no pod"
                " with a source: label its pod template forescale.dev/source"
            )
        if query.agg:
            return _aggregated(snapshot, metric, key)
        if metric.distribution:
            raise BadRequest(
                f"{metric.name} has no total, which AverageValue would divide by the replicas: ask"
                " with the selector agg=merged, for `type: Value`"
            )
        self._asked.total(key, self._now())
        return snapshot.total(metric, key)

    def _observe(self, snapshot: Snapshot, metric: Metric, found: Answer) -> None:
        part = "gpu" if metric.series.startswith("gpu") else "engine"
        histogram = self._metrics.sample_age.labels(part)
        now = snapshot.wall + self._now() - snapshot.at
        # Of a large answer every n-th pod speaks for its neighbours: 1,000 would take 1 ms.
        for taken_at in found.taken_at[:: 1 + len(found.taken_at) // OBSERVED_ITEMS]:
            histogram.observe(now - taken_at)


class Memo:
    """Encoded answers of one Snapshot; a new one empties it."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._bodies: dict[str, bytes] = {}
        self._bytes = 0

    def get(self, snapshot: Snapshot, key: str) -> bytes | None:
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._bodies = {}
            self._bytes = 0
        return self._bodies.get(key)

    def put(self, key: str, body: bytes) -> None:
        self._bytes += len(body) + len(key)
        if len(self._bodies) < MEMO_ENTRIES and self._bytes < MEMO_BYTES:
            self._bodies[key] = body


def _metric(name: str) -> Metric:
    metric = METRICS.get(name)
    if metric is not None:
        return metric
    near = difflib.get_close_matches(name[:_SHOWN], METRICS, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"served are {', '.join(METRICS)}"
    raise NotFound(f"no metric is called {_shown(name)}; {hint}")


def _owner(resource: str, metric: Metric) -> str | None:
    """Return the kind of the owner, None for pods."""
    if resource == "pods":
        return None
    kind = OWNER_RESOURCES.get(resource)
    if kind is None:
        served = ", ".join(("pods", *OWNER_RESOURCES))
        raise NotFound(f"{_shown(resource)} have no metrics here; served are those of {served}")
    if not (metric.totals or metric.distribution):
        raise NotFound(f"{metric.name} has no total over a {kind}; ask for it per pod")
    return kind


def _of_pods(snapshot: Snapshot, metric: Metric, query: Query, namespace: str, name: str) -> Answer:
    if query.agg:
        raise BadRequest(f"metricLabelSelector: agg={query.agg} is for workloads, not for pods")
    wanted = None if name == "*" else name
    found = snapshot.pods(metric, query.view, namespace, query.selector, wanted, dims=query.dims)
    if wanted is not None and not found.names:
        raise NotFound(
            f"no pod {_shown(name)} with a source in namespace {_shown(namespace)}"
            f"{' matches the selector' if query.selector is not EVERYTHING else ''}:"
            " a pod has one when it carries the label forescale.dev/source"
        )
    return found


def _aggregated(snapshot: Snapshot, metric: Metric, key: TotalKey) -> Answer:
    if not metric.distribution:
        raise BadRequest(
            f"metricLabelSelector: agg=merged is for distributions; {metric.name} has a total"
        )
    return snapshot.merged(metric, key)


def _shown(word: str) -> str:
    return f"`{word[:_SHOWN]}`"
