"""Prometheus as a source: the past of the windows once, then the pods that have no other source.

Its clock and ours are never compared: an age is what Prometheus itself says of a sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import structs

from adapter.errors import IntakeError
from adapter.intake import answers, frames, gpus, promql
from adapter.intake.answers import PAST_SECONDS, STEP_SECONDS, PodKey, Sampled, Steps
from adapter.model.batch import Column, ModelState, Origin, Reading
from adapter.model.fleet import Fleet, Pod, SourceKind
from adapter.settings import Settings, accounts
from adapter.telemetry import Metrics, Once, event, log, warn

FIRST_LOOK_SECONDS = 0.5  # a past is wanted as soon as there are pods
UNLISTED = (
    "Prometheus has no series of it: does it scrape the pod, with the target labels namespace and"
    " pod?"
)

if TYPE_CHECKING:
    from adapter.intake.history import Client

_Answer = TypeVar("_Answer")


class Sink(Protocol):
    """Who is told what Prometheus says."""

    def add(self, reading: Reading) -> None: ...
    def report(self, uid: str, why: str) -> None: ...


class PrometheusSource:
    """Asks in rounds until cancelled."""

    def __init__(
        self, settings: Settings, fleet: Callable[[], Fleet], metrics: Metrics, sink: Sink
    ) -> None:
        self._settings = settings.prometheus
        self._fleet = fleet
        self._metrics = metrics
        self._sink = sink
        exporters = {namespace for namespace, _ in accounts(settings.intake.node_sources)}
        self._asks = promql.figures(exporters)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prometheus")
        self._seeded = False
        self._once = Once(warn)

    async def run(self) -> None:
        """Ask every period until cancelled; a Prometheus that is gone is asked again."""
        # Its client and what that brings are 20 MiB that most adapters never need.
        from adapter.intake.history import Client  # noqa: PLC0415

        clock = asyncio.get_running_loop().time
        client = Client(self._settings)
        try:
            while not self._fleet().pods:  # noqa: ASYNC110 - nobody says when the first pod is known
                await asyncio.sleep(FIRST_LOOK_SECONDS)
            while True:
                due = clock() + self._settings.period_seconds
                await self._round(client, self._fleet())
                await asyncio.sleep(due - clock())
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
            client.close()

    async def _round(self, client: Client, fleet: Fleet) -> None:
        """Ask for what is wanted now; whatever comes of it, the next round is tried."""
        asking = [pod for pod in fleet.pods.values() if pod.source is SourceKind.PROMETHEUS]
        try:
            if not self._seeded:
                await self._seed(client, fleet)
            if asking:
                await self._read(client, asking)
        except IntakeError as error:
            self._failed(asking, str(error))
        # A task boundary: what nobody foresaw costs this round, not the adapter.
        except Exception as error:  # noqa: BLE001
            log.exception("prometheus_broke")
            self._failed(asking, f"the adapter could not read it: {type(error).__name__}")
        else:
            self._metrics.prometheus_rounds.labels("taken").inc()
            if self._once.clear(""):
                event("prometheus_answers_again")

    def _failed(self, asking: Iterable[Pod], why: str) -> None:
        self._metrics.prometheus_rounds.labels("failed").inc()
        self._once("prometheus_unreadable", "", why)
        for pod in asking:
            self._sink.report(pod.uid, f"Prometheus: {why}")

    async def _seed(self, client: Client, fleet: Fleet) -> None:
        """Fill in what the windows of serving pods do not know; what was read since then stays."""
        at = asyncio.get_running_loop().time()
        now, past = await self._in_thread(lambda: self._past(client))
        self._seeded = True
        for pod in fleet.pods.values():
            figures = past.get((pod.namespace, pod.name))
            columns = tuple(answers.columns(figures, pod, now, at)) if figures else ()
            if columns:
                self._sink.add(_history(pod, columns, at, self._settings.period_seconds))
        event("prometheus_past_taken", pods=len(past))

    async def _read(self, client: Client, asking: Iterable[Pod]) -> None:
        # Ages are as of the first question: a slow answer must not look younger than it is.
        at = asyncio.get_running_loop().time()
        found = await self._in_thread(lambda: self._present(client))
        for pod in asking:
            figures = found.get((pod.namespace, pod.name))
            if not figures:
                self._sink.report(pod.uid, UNLISTED)
                continue
            frame = answers.frame(figures, self._settings.period_seconds)
            self._sink.add(gpus.of_means(frames.reading(frame, pod.uid, at, self._drop), pod))

    async def _in_thread(self, ask: Callable[[], _Answer]) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, ask)

    def _present(self, client: Client) -> dict[PodKey, dict[str, Sampled]]:
        """Return each pod's figures now; blocks."""
        now = client.now()
        found: dict[PodKey, dict[str, Sampled]] = {}
        for figure, ask in self._asks.items():
            parts: dict[PodKey, dict[str, float]] = {}
            for series in client.instant(_both(ask), now):
                key, value = answers.holder(series), answers.last(series)
                if key is not None and value is not None:
                    parts.setdefault(key, {})[series["metric"].get("part", "")] = value
            for key, part in parts.items():
                if "value" in part and "at" in part:
                    age = max(0.0, now - part["at"])
                    found.setdefault(key, {})[figure] = Sampled(part["value"], age)
        return found

    def _past(self, client: Client) -> tuple[float, dict[PodKey, dict[str, Steps]]]:
        """Return Prometheus' time, and each pod's figures by Unix second of a step; blocks."""
        now = float(int(client.now()))
        look = promql.within(2 * self._settings.period_seconds)
        found: dict[PodKey, dict[str, Steps]] = {}
        for figure, ask in self._asks.items():
            answer = client.range(ask(look, None), now - PAST_SECONDS, now, STEP_SECONDS)
            for series in answer:
                key = answers.holder(series)
                if key is not None:
                    found.setdefault(key, {})[figure] = dict(answers.steps(series))
        return now, found

    def _drop(self, series: str, words: str) -> None:
        self._metrics.dropped_values.labels(series).inc()
        self._once("figure_dropped", series, words, state=series, series=series)


def _both(ask: promql.Ask) -> str:
    """Ask for a figure's value and for the time of its oldest part in one query."""
    value, at = ask(promql.level, None), ask(promql.taken_at, "min")
    marked = (
        f'label_replace({vector}, "part", "{part}", "pod", ".*")'
        for part, vector in (("value", value), ("at", at))
    )
    return " or ".join(marked)


def _history(pod: Pod, columns: tuple[Column, ...], at: float, period_seconds: float) -> Reading:
    found = Reading(pod.uid, at, period_seconds, ModelState.UNKNOWN, (), history=columns)
    return structs.replace(found, origin=Origin.HISTORY)
