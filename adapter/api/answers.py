"""The answers: the Snapshot that queries are answered from, its age, and what was encoded of it."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable

from aiohttp import web

from adapter.api.query import no_demand, shown
from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model import prospect
from adapter.model.asked import Asked
from adapter.model.catalogue import METRICS, Agg, Metric
from adapter.model.desired import asked, key_of, targets_of
from adapter.model.owners import EVERYWHERE, Kind
from adapter.model.queried import NOTHING, Board, Key
from adapter.model.selector import Selector
from adapter.model.snapshot import Answer, Snapshot, TotalKey
from adapter.model.target import FORECAST, SERVED, Target, metric_of
from adapter.telemetry import Metrics

# An answer lives for one tick at most; the bounds hold off a caller who never asks twice the same.
MEMO_ENTRIES = 1024
MEMO_BYTES = 16 * 2**20
OBSERVED_ITEMS = 4


class Answers:
    """Reads the Snapshot for queries; holds no state but the encoded answers of the present one."""

    def __init__(
        self,
        *,
        read: Callable[[], Snapshot | None],
        asked: Asked,
        now: Callable[[], float],
        metrics: Metrics,
        stall_seconds: float,
        board: Callable[[], Board] = lambda: NOTHING,
    ) -> None:
        self._read = read
        self.board = board
        self._asked = asked
        self._now = now
        self._metrics = metrics
        self._stall_seconds = stall_seconds
        self._memo = Memo()

    def respond(
        self, request: web.Request, build: Callable[[Snapshot, web.Request], bytes]
    ) -> web.Response:
        """Answer a GET, from memory where the same was asked of this Snapshot."""
        snapshot = self.snapshot()
        key = request.raw_path
        body = self._memo.get(snapshot, key)
        if body is None:
            body = build(snapshot, request)
            self._memo.put(key, body)
        return web.Response(body=body, content_type="application/json")

    def snapshot(self) -> Snapshot:
        """Return the present Snapshot; raise NoValue where there is none, or an old one."""
        snapshot = self._read()
        if snapshot is None:
            raise NoValue("the adapter has just started and has taken no snapshot yet")
        age = self._now() - snapshot.at
        if age > self._stall_seconds:
            raise NoValue(f"the adapter's own loop has stood still for {age:.0f} s")
        return snapshot

    def whole(self, snapshot: Snapshot, metric: Metric, kind: Kind, key: TotalKey) -> Answer:
        """Return the value of one object as a whole; raise NotFound where it has no pods here."""
        _check(metric, kind, key.agg)
        if not snapshot.owned(metric, key).pods:
            raise _without_pods(kind, key.namespace, key.name)
        if key.agg is Agg.MERGED:
            return snapshot.merged(metric, key)
        self._asked.total(key, self._now())
        return snapshot.total(metric, key)

    def ahead(self, snapshot: Snapshot, metric: Metric, kind: Kind, key: TotalKey) -> Answer:
        """Return the forecast of one object's total; raise NotFound as `whole`, and without one."""
        if not snapshot.owned(metric, key).pods:
            raise _without_pods(kind, key.namespace, key.name)
        self._asked.total(key, self._now())
        return prospect.total(snapshot, metric, key)

    def pods_ahead(
        self,
        snapshot: Snapshot,
        metric: Metric,
        namespace: str,
        selector: Selector,
        name: str | None,
    ) -> Answer:
        """Return each pod's part of its workload's forecast; raise NotFound where there is none."""
        for key in prospect.keys(snapshot, metric, namespace, selector):
            self._asked.total(key, self._now())
        return prospect.pods(snapshot, metric, namespace, selector, name)

    def desired(self, snapshot: Snapshot, kind: Kind, namespace: str, name: str) -> Answer:
        """Return how many replicas the object's total asks for by the target on its pods.

        Of pods that disagree the most replicas count. Raises NotFound without pods or target, and
        NoValue where a total that is needed has none.
        """
        group = snapshot.fleet.owned(namespace, kind.qualified, name)
        if not group.pods:
            raise _without_pods(kind, namespace, name)
        targets = targets_of(snapshot, kind.qualified, namespace, name)
        if not targets:
            raise NotFound(
                f"{kind.kind} {shown(name)} in namespace {shown(namespace)} has no target: annotate"
                " its pod template forescale.dev/target, for example inflight=16"
            )
        asked = [self._asks(snapshot, kind, target, namespace, name) for target in targets]
        return max(asked, key=lambda found: found.milli[0])

    def _asks(
        self, snapshot: Snapshot, kind: Kind, target: Target, namespace: str, name: str
    ) -> Answer:
        metric = METRICS[target.metric]
        key = key_of(target, kind.qualified, namespace, name)
        total = self.whole(snapshot, metric, kind, key)
        self.observe(snapshot, metric, total)
        return total._replace(milli=[1000 * asked(snapshot, target, key, total.milli[0]).replicas])

    def queried(self, snapshot: Snapshot, key: Key) -> Answer:
        """Return what a query says of one object, of all of a namespace where the name is `*`.

        Raises NoValue and NotFound as the Board does.
        """
        return self.board().answer(key, snapshot, self._now())

    def observe(self, snapshot: Snapshot, metric: Metric, found: Answer) -> None:
        """Count how old the readings are that leave the house now."""
        part = "gpu" if metric.series.startswith("gpu") else "engine"
        histogram = self._metrics.sample_age.labels(part)
        now = snapshot.wall + self._now() - snapshot.at
        # Of a large answer some pods speak for all, others each time: one takes 1.4 us, and 25 of
        # 40 took a third of the time that the answer took.
        step = 1 + len(found.taken_at) // OBSERVED_ITEMS
        for taken_at in found.taken_at[random.randrange(step) :: step]:  # noqa: S311 - a sample
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


def _check(metric: Metric, kind: Kind, agg: Agg) -> None:
    """Raise where the metric has no such value of an object as a whole."""
    if metric.distribution and agg is not Agg.MERGED:
        raise BadRequest(
            f"{metric.name} has no total, which AverageValue would divide by the replicas: ask"
            f" with the selector agg={Agg.MERGED}, for `type: Value`"
        )
    if agg is Agg.MERGED and not metric.distribution:
        raise BadRequest(f"agg={agg} is for distributions; {metric.name} has a total")
    if agg is Agg.SUM and not metric.totals:
        raise NotFound(
            f"{metric.name} has no total over a {kind.kind}; ask for it per pod, or with"
            f" agg={Agg.MEAN} or agg={Agg.MAX}"
        )


def _without_pods(kind: Kind, namespace: str, name: str) -> NotFound:
    within = namespace not in (EVERYWHERE, name)  # a namespace is in none
    where = f" in namespace {shown(namespace)}" if within else ""
    words = "; a workload that is scaled to 0 has none"
    if kind.by_selector:
        words += f"; and let the adapter list and watch {kind.path}, or it sees no selector"
    return NotFound(
        f"{kind.kind} {shown(name)}{where} has no pod with a source: label its pod template"
        f" forescale.dev/source{words}"
    )


def metric_named(name: str) -> Metric:
    """Return the metric, forecast or not; raise NotFound with the names that are near."""
    metric = metric_of(name)
    if metric is not None:
        return metric
    if name.removesuffix(FORECAST) in METRICS:
        raise no_demand(name.removesuffix(FORECAST))
    near = difflib.get_close_matches(name[:100], SERVED, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"served are {', '.join(SERVED)}"
    raise NotFound(f"no metric is called {shown(name)}; {hint}")
