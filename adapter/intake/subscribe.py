"""Subscriptions: one stream for each running pod, and what they delivered since the last tick."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Self

import aiohttp

from adapter.intake.stream import Stream, Target
from adapter.model.batch import Batch, Reading
from adapter.model.fleet import Fleet, Pod, Standing
from adapter.settings import Intake
from adapter.telemetry import Metrics, Once, event, warn

# Streams to a whole fleet are not opened in one burst: 1,000 a second.
OPENINGS_PER_SECOND = 1000.0


class Subscriber:
    """Owns the streams; `follow` opens and closes them, `collect` empties what they delivered."""

    def __init__(self, settings: Intake, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._readings: list[Reading] = []
        self._troubles: dict[str, str] = {}
        self._untried: set[str] = set()
        self._version = -1
        self._once = Once(warn)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=2**16,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close(list(self._tasks))
        if self._session is not None:
            await self._session.close()

    def apply(self, settings: Intake) -> None:
        """Open streams by other settings from now on."""
        self._settings = settings

    def follow(self, fleet: Fleet) -> None:
        """Open a stream to each new running pod and close those of pods that are gone."""
        if fleet.version == self._version:
            return
        self._version = fleet.version
        wanted = {target for pod in fleet.pods.values() if (target := _target(pod)) is not None}
        for target in [target for target in self._tasks if target not in wanted]:
            self._cancel(target)
        new = [target for target in wanted if target not in self._tasks]
        spread = len(new) / OPENINGS_PER_SECOND
        for target in new:
            self._open(target, random.uniform(0.0, spread))  # noqa: S311 - jitter
        for pod in fleet.pods.values():
            self._explain(pod)

    def collect(self) -> Batch:
        """Return what came since the last call."""
        batch = Batch(tuple(self._readings), self._troubles)
        self._readings, self._troubles = [], {}
        return batch

    def tried(self) -> bool:
        """Return whether each pod that is followed has answered, or failed, at least once."""
        return not self._untried

    def _open(self, target: Target, delay_seconds: float) -> None:
        if self._session is None:
            raise RuntimeError("the subscriber is used outside its `async with`")
        stream = Stream(
            target,
            self._session,
            self._settings,
            self._metrics,
            deliver=self._deliver,
            fail=self._fail,
        )
        self._tasks[target] = asyncio.create_task(stream.run(delay_seconds), name=target.name)
        self._untried.add(target.uid)

    def _cancel(self, target: Target) -> None:
        self._tasks.pop(target).cancel()
        self._untried.discard(target.uid)
        self._once.clear(target.uid)

    async def _close(self, targets: Iterable[Target]) -> None:
        tasks = [self._tasks[target] for target in targets]
        for target in targets:
            self._cancel(target)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _deliver(self, reading: Reading) -> None:
        self._readings.append(reading)
        self._untried.discard(reading.uid)
        if self._once.clear(reading.uid):
            event("sidecar_heard_again", uid=reading.uid)

    def _fail(self, target: Target, reason: str) -> None:
        self._untried.discard(target.uid)
        self._troubles[target.uid] = reason
        self._once("sidecar_lost", target.uid, reason, pod=target.name)

    def _explain(self, pod: Pod) -> None:
        if pod.port is None and pod.standing() is not Standing.ENDED:
            self._troubles[pod.uid] = "no container port of the pod is named `forescale`"


def _target(pod: Pod) -> Target | None:
    if pod.phase != "Running" or pod.terminating or pod.ip is None or pod.port is None:
        return None
    return Target(pod.uid, f"{pod.namespace}/{pod.name}", pod.ip, pod.port)
