"""Subscriptions: one stream or scrape for each running pod, and what came since the last tick."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Coroutine, Iterable, Mapping
from typing import Self

import aiohttp

from adapter.intake import addresses, frames, gpus, join, nodesource
from adapter.intake.exporter import Exporter, ExporterTarget
from adapter.intake.nodeframes import NodeReader
from adapter.intake.reader import PageReader
from adapter.intake.scrape import Scrape, ScrapeTarget
from adapter.intake.stream import Read, Stream, Target
from adapter.model.batch import Batch, Origin, Reading
from adapter.model.fleet import EMPTY, Fleet, Pod, SourceKind, Standing
from adapter.settings import Intake, accounts
from adapter.telemetry import Metrics, Once, event, warn
from sidecar import wire

# Streams to a whole fleet are not opened in one burst: 500 a second, each of which costs 1.5 ms.
OPENINGS_PER_SECOND = 500.0
# The longest of our own is half of that; a part of it may be a tenant's, and an HPA's events
# will say it.
MAX_REASON_CHARACTERS = 500
ON_HOST = (
    "it uses hostNetwork, and at a node's address any process may answer for it: give it a sidecar,"
    " which names its pod, or set intake.scrapeHostNetwork"
)

AnyTarget = Target | ScrapeTarget | ExporterTarget


class Subscriber:
    """Owns streams and scrapes: `follow` begins and ends them, `collect` hands over what came.

    Pages are parsed in one thread: a page that takes long to read delays other pages, no answer.
    """

    def __init__(self, settings: Intake, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None
        self._pages: PageReader | None = None
        self._tasks: dict[AnyTarget, asyncio.Task[None]] = {}
        self._readings: list[Reading] = []
        self._troubles: dict[str, str] = {}
        self._untried: set[str] = set()
        self._version = -1
        self._fleet = EMPTY
        self._shared: frozenset[str] = frozenset()
        self._agents: dict[str, NodeReader] = {}
        self._once = Once(warn)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=2**16,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._pages = PageReader(self._session)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close(list(self._tasks))
        if self._session is not None:
            await self._session.close()
        if self._pages is not None:
            self._pages.close()

    def apply(self, settings: Intake) -> None:
        """Open streams by other settings from now on."""
        self._settings = settings

    def follow(self, fleet: Fleet) -> None:
        """Open a stream to each new running pod and close those of pods that are gone."""
        if fleet.version == self._version:
            return
        self._version = fleet.version
        self._fleet = fleet
        self._shared = addresses.shared(fleet.pods.values())
        wanted = {
            target for pod in fleet.pods.values() if (target := self._target(pod)) is not None
        }
        wanted |= self._speakers(fleet)
        gone = [target for target in self._tasks if target not in wanted]
        for target in gone:
            self._cancel(target)
        self._unread({target.uid for target in gone if isinstance(target, ScrapeTarget)})
        new = [target for target in wanted if target not in self._tasks]
        spread = len(new) / OPENINGS_PER_SECOND
        for target in new:
            self._open(target, random.uniform(0.0, spread))  # noqa: S311 - jitter
        for pod in fleet.pods.values():
            self._explain(pod)

    def _speakers(self, fleet: Fleet) -> set[AnyTarget]:
        """Return the node sources that may speak; each of the others is told once, with why not."""
        allowed, refused = nodesource.admitted(fleet, accounts(self._settings.node_sources))
        for uid, why in refused.items():
            pod = fleet.node_sources[uid]
            self._once("node_source_refused", uid, why, pod=f"{pod.namespace}/{pod.name}")
        return {target for pod in allowed.values() if (target := _speaker(pod)) is not None}

    def collect(self) -> Batch:
        """Return what came since the last call."""
        batch = Batch(tuple(self._readings), self._troubles)
        self._readings, self._troubles = [], {}
        return batch

    def add(self, reading: Reading) -> None:
        """Add a reading of a source that is not followed here, such as Prometheus."""
        self._readings.append(reading)

    def report(self, uid: str, why: str) -> None:
        """Say why such a source has nothing for a pod."""
        self._troubles[uid] = why

    def tried(self) -> bool:
        """Return whether each pod that is followed has answered, or failed, at least once."""
        return not self._untried

    def _open(self, target: AnyTarget, first_delay_seconds: float) -> None:
        work = self._work(target, first_delay_seconds)
        self._tasks[target] = asyncio.create_task(work, name=target.name)
        self._untried.add(target.uid)

    def _work(self, target: AnyTarget, first_delay_seconds: float) -> Coroutine[None, None, None]:
        if self._session is None or self._pages is None:
            raise RuntimeError("the subscriber is used outside its `async with`")
        settings, metrics = self._settings, self._metrics
        if isinstance(target, Target):
            given = (self._session, settings, metrics)
            read = self._reader(target.uid)
            stream = Stream(target, *given, read=read, deliver=self._take, fail=self._fail)
            return stream.run(first_delay_seconds)
        of_pages = (self._pages, settings, metrics)
        if isinstance(target, ScrapeTarget):
            ready = functools.partial(self._is_ready, target.uid)
            scrape = Scrape(target, *of_pages, is_ready=ready, deliver=self._take, fail=self._miss)
            return scrape.run(first_delay_seconds)
        wards = functools.partial(self._wards, target.uid)
        exporter = Exporter(target, *of_pages, wards=wards, deliver=self._take, fail=self._miss)
        return exporter.run(first_delay_seconds)

    def _wards(self, uid: str) -> Mapping[nodesource.PodKey, Pod]:
        speaker = self._fleet.node_sources.get(uid)
        return nodesource.wards(self._fleet, speaker) if speaker is not None else {}

    def _is_ready(self, uid: str) -> bool:
        """Return whether a probe says, by the pod's status, that its model is loaded."""
        pod = self._fleet.pods.get(uid)
        return pod is not None and pod.model_ready and pod.model_probed

    def _reader(self, uid: str) -> Read:
        if uid in self._fleet.node_sources:
            self._agents[uid] = NodeReader(uid, lambda: self._fleet)
            return self._agents[uid].read

        def read(frame: wire.Frame, now: float, drop: frames.Drop) -> tuple[Reading]:
            pod = self._fleet.pods.get(uid)
            own = frame if pod is None else gpus.of(join.own(frame, pod.holding), pod)
            return (frames.reading(own, uid, now, drop),)

        return read

    def _cancel(self, target: AnyTarget) -> None:
        self._tasks.pop(target).cancel()
        self._untried.discard(target.uid)
        self._once.clear(target.uid)
        self._agents.pop(target.uid, None)

    async def _close(self, targets: Iterable[AnyTarget]) -> None:
        tasks = [self._tasks[target] for target in targets]
        for target in targets:
            self._cancel(target)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _unread(self, uids: set[str]) -> None:
        """Drop what was just read at addresses that are no more these pods': whose was it?"""
        self._readings = [
            one for one in self._readings if one.uid not in uids or one.origin is not Origin.POD
        ]

    def _take(self, target: AnyTarget, readings: tuple[Reading, ...]) -> None:
        self._readings.extend(readings)
        self._untried.discard(target.uid)
        if self._once.clear(target.uid):
            event("source_heard_again", uid=target.uid)

    def _fail(self, target: AnyTarget, reason: str) -> None:
        reason = reason[:MAX_REASON_CHARACTERS]
        self._untried.discard(target.uid)
        self._troubles[target.uid] = reason
        if agent := self._agents.get(target.uid):
            now = asyncio.get_running_loop().time()
            self._readings.extend(agent.silent(reason, now))
        self._once("source_lost", target.uid, reason, pod=target.name)

    def _miss(self, target: AnyTarget, reason: str, readings: tuple[Reading, ...]) -> None:
        self._readings.extend(readings)
        self._fail(target, reason)

    def _target(self, pod: Pod) -> AnyTarget | None:
        """Return where the pod's own source is heard."""
        if not _is_running(pod) or pod.ip is None or self._is_anybodys(pod):
            return None
        name = f"{pod.namespace}/{pod.name}"
        if pod.pages and pod.uid in self._shared:
            return None
        if pod.pages:
            return ScrapeTarget(pod.uid, name, pod.ip, pod.pages)
        if pod.source is SourceKind.SIDECAR and pod.port is not None and not pod.source_problem:
            return Target(pod.uid, name, pod.ip, pod.port)
        return None

    def _is_anybodys(self, pod: Pod) -> bool:
        """Return whether its page may be another's: a page names no pod, as a sidecar does."""
        return bool(pod.pages) and pod.host_network and not self._settings.scrape_host_network

    def _explain(self, pod: Pod) -> None:
        if pod.standing() is Standing.ENDED:
            return
        if self._is_anybodys(pod):
            self._troubles[pod.uid] = ON_HOST
        elif pod.pages and pod.uid in self._shared:
            self._troubles[pod.uid] = addresses.SHARED
        elif pod.source_problem is not None:
            self._troubles[pod.uid] = pod.source_problem
        elif pod.source is SourceKind.PROMETHEUS:
            self._troubles[pod.uid] = "Prometheus has not answered for it yet (prometheus.url)"
        elif pod.source is SourceKind.SIDECAR and pod.port is None:
            self._troubles[pod.uid] = "no container port of the pod is named `forescale`"


def _speaker(pod: Pod) -> AnyTarget | None:
    """Return where a node source is heard: the stream of an agent, or the page of an exporter."""
    if not _is_running(pod) or pod.ip is None:
        return None
    name = f"{pod.namespace}/{pod.name}"
    if pod.port is not None:
        return Target(pod.uid, name, pod.ip, pod.port)
    return ExporterTarget(pod.uid, name, pod.ip, pod.pages[0]) if pod.pages else None


def _is_running(pod: Pod) -> bool:
    return pod.phase == "Running" and not pod.terminating
