"""A small world for timelines: set pods and readings, advance time, look at the Snapshot.

The model's own loop body, without its clock: the tests of the model and of the API build their
Snapshots through it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from adapter.model.batch import Batch, ModelState, Point, Reading
from adapter.model.catalogue import METRICS
from adapter.model.decide import decide
from adapter.model.fleet import Fleet, Owner, Pod, Standing
from adapter.model.selector import EVERYTHING, parse
from adapter.model.snapshot import Item, Snapshot, TotalKey
from adapter.model.source import Source, fold, stand
from adapter.model.window import Window

NAMESPACE = "default"
DEPLOYMENT = "llm-inference-deployment"
START = 10_000.0
WALL = 1_700_000_000.0
HOLD_SECONDS = 60.0


def serving_pod(name: str, **changes: object) -> Pod:
    """Return a pod whose model is ready."""
    pod = Pod(
        uid=f"uid-{name}",
        namespace=NAMESPACE,
        name=name,
        labels={"app": "llm-inference"},
        owners=(Owner("ReplicaSet", f"{DEPLOYMENT}-1"), Owner("Deployment", DEPLOYMENT)),
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
        self.say: dict[str, Mapping[str, float]] = {}
        self.model: dict[str, ModelState] = {}
        self.why: dict[str, Mapping[str, str]] = {}
        self.troubles: dict[str, str] = {}
        self.asked: set[TotalKey] = set()
        self.snapshot: Snapshot | None = None
        self._window = Window()
        self._sources: dict[str, Source] = {}

    def advance(self, seconds: int = 1) -> Snapshot:
        """Tick once a second, with a reading of every pod that says something."""
        for _ in range(seconds):
            self.now += 1.0
            self.snapshot = self._tick()
        assert self.snapshot is not None
        return self.snapshot

    def change(self, name: str, **changes: object) -> None:
        self.pods[name] = msgspec.structs.replace(self.pods[name], **changes)

    def values(self, metric: str, selector: str = "") -> dict[str, float]:
        """Return the metric of every served pod, in its unit."""
        return {item.name: item.milli / 1000 for item in self.items(metric, selector)}

    def items(self, metric: str, selector: str = "") -> tuple[Item, ...]:
        assert self.snapshot is not None
        found = METRICS[metric]
        chosen = parse(selector) if selector else EVERYTHING
        return self.snapshot.pods(found, found.view, NAMESPACE, chosen, None)

    def total(self, metric: str, name: str = DEPLOYMENT) -> float | None:
        """Return the Deployment's total, and ask for it from now on."""
        assert self.snapshot is not None
        found = METRICS[metric]
        key = TotalKey(NAMESPACE, "Deployment", name, metric, found.view)
        self.asked.add(key)
        item = self.snapshot.total(found, key)
        return None if item is None else item.milli / 1000

    def _tick(self) -> Snapshot:
        fleet = Fleet.of(self.pods.values())
        batch = Batch(tuple(self._readings()), self.troubles)
        self._sources = fold(self._sources, batch, fleet)
        standings = stand(fleet, self._sources)
        serving = {uid for uid, standing in standings.items() if standing is Standing.SERVING}
        self._window.append(Batch(tuple(r for r in batch.readings if r.uid in serving)), self.now)
        self._window.forget(serving)
        return decide(
            fleet,
            standings,
            self._sources,
            self._window.freeze(),
            complete=self.snapshot.complete if self.snapshot else {},
            asked=self.asked,
            hold_seconds=HOLD_SECONDS,
            now=self.now,
            wall=WALL + self.now - START,
        )

    def _readings(self) -> list[Reading]:
        return [
            Reading(
                uid=self.pods[name].uid,
                at=self.now,
                period_seconds=2.0,
                model=self.model.get(name, ModelState.READY),
                points=tuple(Point(series, self.now, value) for series, value in levels.items()),
                why=self.why.get(name, {}),
            )
            for name, levels in self.say.items()
            if name in self.pods
        ]
