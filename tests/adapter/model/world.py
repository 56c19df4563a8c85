"""A small world for timelines: set pods and readings, advance time, look at the Snapshot.

It drives the adapter's own loop, tick by tick, with pods and readings that the test sets; the tests
of the model and of the API take their Snapshots from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from adapter.loop import Loop
from adapter.model.batch import Batch, Buckets, Column, ModelState, Origin, Point, Reading
from adapter.model.catalogue import METRICS, Agg, View
from adapter.model.fleet import Fleet, Object, Owner, Pod
from adapter.model.foresight import Foresight
from adapter.model.holding import Node
from adapter.model.selector import EVERYTHING, Selector, parse
from adapter.model.snapshot import Answer, Snapshot, TotalKey
from adapter.model.source import Dims
from adapter.model.word import NO_GPUS, SILENT, Gpus, Word
from adapter.settings import Model
from adapter.telemetry import Metrics

NAMESPACE = "default"
DEPLOYMENT = "llm-inference-deployment"
START = 10_000.0
WALL = 1_700_000_000.0
HOLD_SECONDS = 60.0
Counts = tuple[tuple[float, ...], tuple[float, ...]]  # bounds, cumulative counts


def serving_pod(name: str, **changes: object) -> Pod:
    """Return a pod whose model is ready."""
    pod = Pod(
        uid=f"uid-{name}",
        namespace=NAMESPACE,
        name=name,
        labels={"app": "llm-inference"},
        owners=(Owner("ReplicaSet.apps", f"{DEPLOYMENT}-1"), Owner("Deployment.apps", DEPLOYMENT)),
        phase="Running",
        ip="10.0.0.1",
        port=9401,
        model_ready=True,
        model_started_at=WALL - 600,
        ready_changed_at=WALL - 500,
    )
    return msgspec.structs.replace(pod, **changes)


class World:
    """Pods by name and what they say; `say` holds the levels each sidecar reports."""

    def __init__(self, *pods: Pod) -> None:
        self.now = START
        self.pods = {pod.name: pod for pod in pods}
        self.selectors: dict[Object, tuple[Selector, ...]] = {}
        self.nodes: dict[str, Node] = {}
        self.say: dict[str, Mapping[str, float]] = {}
        self.model: dict[str, ModelState] = {}
        self.why: dict[str, Mapping[str, str]] = {}
        self.troubles: dict[str, str] = {}
        self.node_says: set[str] = set()  # pods of whom their node's source speaks, not their own
        self.period_seconds: dict[str, float] = {}  # 2 s where nothing is set
        self.history: dict[str, tuple[Column, ...]] = {}
        self.dims: dict[str, Mapping[str, str]] = {}
        self.word: dict[str, Word] = {}
        self.gpus: dict[str, Gpus] = {}
        self.counts: dict[str, Mapping[str, Counts]] = {}  # histograms by series
        self.asked: set[TotalKey] = set()
        self._loop = Loop(
            Model(hold_seconds=HOLD_SECONDS), self._fleet, self, lambda _: self.asked, Metrics()
        )

    @property
    def foresight(self) -> Foresight:
        return self._loop.foresight

    @property
    def snapshot(self) -> Snapshot | None:
        return self._loop.snapshot

    @snapshot.setter
    def snapshot(self, found: Snapshot | None) -> None:
        self._loop.snapshot = found

    def advance(self, seconds: int = 1) -> Snapshot:
        """Tick once a second, with a reading of every pod that says something."""
        for _ in range(seconds):
            self.now += 1.0
            self._loop.tick(self.now, WALL + self.now - START)
        assert self.snapshot is not None
        return self.snapshot

    def change(self, name: str, **changes: object) -> None:
        self.pods[name] = msgspec.structs.replace(self.pods[name], **changes)

    def values(self, metric: str, selector: str = "", dims: Dims = ()) -> dict[str, float]:
        """Return the metric of every served pod, in its unit."""
        found = self.answer(metric, selector, dims=dims)
        return dict(zip(found.names, (milli / 1000 for milli in found.milli), strict=True))

    def answer(
        self, metric: str, selector: str = "", view: View | None = None, *, dims: Dims = ()
    ) -> Answer:
        assert self.snapshot is not None
        found = METRICS[metric]
        chosen = parse(selector) if selector else EVERYTHING
        return self.snapshot.pods(found, view or found.view, NAMESPACE, chosen, None, dims=dims)

    def total(
        self,
        metric: str,
        name: str = DEPLOYMENT,
        dims: Dims = (),
        agg: Agg = Agg.SUM,
        kind: str = "Deployment.apps",
    ) -> float | None:
        """Return the value of the object as a whole, and ask for it from now on."""
        assert self.snapshot is not None
        found = METRICS[metric]
        key = TotalKey(NAMESPACE, kind, name, metric, found.view, dims, agg)
        self.asked.add(key)
        total = self.snapshot.total(found, key)
        return total.milli[0] / 1000 if total.milli else None

    def merged(self, metric: str, view: View | None = None) -> float | None:
        """Return the Deployment's quantile of all that its pods measured."""
        assert self.snapshot is not None
        found = METRICS[metric]
        key = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, metric, view or found.view)
        answer = self.snapshot.merged(found, key)
        return answer.milli[0] / 1000 if answer.milli else None

    def follow(self, fleet: Fleet) -> None:
        """The loop's intake: nothing has to be opened."""

    def collect(self) -> Batch:
        """The loop's intake: one reading of each pod that says something."""
        readings = [self._reading(name) for name in self.say if name in self.pods]
        self.history = {}
        return Batch(tuple(readings), self.troubles)

    def _fleet(self) -> Fleet:
        return Fleet.of(self.pods.values(), by_selector=self.selectors, nodes=self.nodes)

    def _reading(self, name: str) -> Reading:
        return Reading(
            uid=self.pods[name].uid,
            at=self.now,
            period_seconds=self.period_seconds.get(name, 2.0),
            model=self.model.get(name, ModelState.READY),
            points=tuple(
                Point(series, self.now, value) for series, value in self.say[name].items()
            ),
            why=self.why.get(name, {}),
            history=self.history.get(name, ()),
            origin=Origin.NODE if name in self.node_says else Origin.POD,
            dims=self.dims.get(name, {}),
            word=self.word.get(name, SILENT),
            gpus=self.gpus.get(name, NO_GPUS),
            buckets={
                series: Buckets(self.now, *counts)
                for series, counts in self.counts.get(name, {}).items()
            },
        )
