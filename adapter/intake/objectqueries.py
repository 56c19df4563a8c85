"""The object queries: metrics of workloads that no pod has to live for, asked of a Prometheus.

An answer is as old as the question. Prometheus is told to look no further back than two of its
scrapes; a version that does not know that parameter takes samples of up to five minutes.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from adapter.errors import IntakeError
from adapter.intake import answers
from adapter.model import excuses
from adapter.model.freshness import FRESH_PERIODS
from adapter.model.owners import Kind, Owners
from adapter.model.queried import MAX_OF_METRIC, MAX_OF_NAMESPACE, Board, Figure, Key
from adapter.settings import ObjectQuery, Settings
from adapter.telemetry import Metrics, Once, event, log, warn

# The last resort: one that answers by pod or by request is not aggregated.
MAX_SERIES = MAX_OF_METRIC
MAX_SHOWN = 100  # characters of a label

if TYPE_CHECKING:
    from adapter.intake.history import Client

_Answer = TypeVar("_Answer")
Series = Mapping[str, Any]
Asked = tuple[str, str]  # a metric, and the qualified kind of its objects


class ObjectQueries:
    """Asks every query once a period until cancelled; `board` is what is known.

    It has a client and a thread of its own: a slow query delays no pod's figures.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings.prometheus
        self._metrics = metrics
        self._owners = Owners.of(settings.api.object_kinds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="object-queries")
        self._once = Once(warn)
        self._changed = asyncio.Event()
        self.board = Board.of(settings.prometheus, self._owners, settings.model.hold_seconds)

    def apply(self, settings: Settings) -> None:
        """Go by other `prometheus.objects` from now on; the rest of `prometheus.*` is settled."""
        before, after = self._settings, settings.prometheus
        if before.objects == after.objects:
            return
        hold = settings.model.hold_seconds
        self._settings = after
        self.board = self.board.going_by(before, after, self._owners, hold)
        self._changed.set()

    async def run(self) -> None:
        """Ask until cancelled, while there is a query; a Prometheus that is gone is asked again."""
        try:
            while True:
                if self._settings.objects:
                    await self._asking()
                await self._changed.wait()
                self._changed.clear()
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _asking(self) -> None:
        # Its client and what that brings are 20 MiB that most adapters never need.
        from adapter.intake.history import Client  # noqa: PLC0415

        clock = asyncio.get_running_loop().time
        client = Client(self._settings)
        try:
            while self._settings.objects:
                due = clock() + self._settings.period_seconds
                self._changed.clear()
                await self._round(client)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), due - clock())
        finally:
            client.close()

    async def _round(self, client: Client) -> None:
        """Ask for everything as of one moment; a Prometheus that is gone costs one deadline."""
        settings, at = self._settings, asyncio.get_running_loop().time()
        figures: dict[Key, Figure] = {}
        wrong: dict[Asked, list[str]] = {}
        now = await self._tried(client.now, "time()")
        for one in settings.objects:
            kind = self._owners.named(one.kind)
            if kind is None:
                continue  # the settings were refused
            found, words = await self._ask(client, one, kind, now, at)
            if both := figures.keys() & found.keys():
                names = (f"`{_shown(key.name)}` is answered by two queries" for key in both)
                words = [*words, *names]
            figures = found | figures  # the first query of an object counts
            wrong.setdefault((one.metric, kind.qualified), []).extend(words)
        troubles = {asked: _listed(words) for asked, words in wrong.items() if words}
        after = functools.partial(self.board.after, figures, troubles, at)
        board = await asyncio.get_running_loop().run_in_executor(self._thread, after)
        if settings is self._settings:  # the answers to other queries are nobody's any more
            self.board = board
            self._tell(troubles)

    async def _ask(
        self, client: Client, one: ObjectQuery, kind: Kind, now: float | str, at: float
    ) -> tuple[dict[Key, Figure], list[str]]:
        """Return what one query says of objects, and what is wrong with it."""
        if isinstance(now, str):
            return {}, [now]
        look_back = FRESH_PERIODS * self._settings.period_seconds

        def asked() -> tuple[dict[Key, Figure], list[str]]:
            return figures_of(client.instant(one.query, now, look_back), one, kind, at)

        said = await self._tried(asked, one.query)
        return ({}, [said]) if isinstance(said, str) else said

    async def _tried(self, ask: Callable[[], _Answer], query: str) -> _Answer | str:
        """Return the answer, or in words why there is none."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, ask)
        except IntakeError as error:
            return f"Prometheus: {error}"
        # A task boundary: what nobody foresaw costs this query's round, not the adapter.
        except Exception as error:  # noqa: BLE001
            log.exception("object_query_broke", extra={"fields": {"query": query}})
            return f"the adapter could not read the answer: {type(error).__name__}"

    def _tell(self, troubles: Mapping[Asked, str]) -> None:
        self._metrics.prometheus_rounds.labels("failed" if troubles else "taken").inc()
        for metric, kind in self.board.served:
            asked = (metric, kind.qualified)
            key = " ".join(asked)
            if words := troubles.get(asked):
                self._once("object_query_wrong", key, words, metric=metric, kind=kind.kind)
            elif self._once.clear(key):
                event("object_query_answers_again", metric=metric, kind=kind.kind)


def figures_of(
    series: Sequence[Series], one: ObjectQuery, kind: Kind, asked_at: float
) -> tuple[dict[Key, Figure], list[str]]:
    """Return the values of an answer, and in words what of it is none; pure.

    A namespace with too many series is left out alone: its labels may be a tenant's.
    """
    series, wrong = _fair(series, one, kind)
    if len(series) > MAX_SERIES:
        return {}, [*wrong, f"the answer has {len(series)} series: aggregate {_by(kind)}"]
    found: dict[Key, Figure] = {}
    twice: set[Key] = set()
    for key, value in _read(series, one, kind, wrong):
        if key in found:
            twice.add(key)
        found[key] = Figure(value, asked_at)
    for key in twice:
        del found[key]
        wrong.append(f"several series for `{_shown(key.name)}`: aggregate {_by(kind)}")
    return found, wrong


def _fair(
    series: Sequence[Series], one: ObjectQuery, kind: Kind
) -> tuple[Sequence[Series], list[str]]:
    """Return the series of the namespaces that have not too many, and which have, in words."""
    whose = [_namespace(each, one) for each in series]
    many = {name for name, count in Counter(whose).items() if count > MAX_OF_NAMESPACE}
    if not many:
        return series, []
    told = (
        f"namespace `{_shown(name)}` has over {MAX_OF_NAMESPACE} series and is left out:"
        f" aggregate {_by(kind)}"
        for name in sorted(many)
    )
    kept = zip(series, whose, strict=True)
    return [each for each, name in kept if name not in many], list(told)


def _namespace(series: Series, one: ObjectQuery) -> str:
    labels = series.get("metric")
    return one.namespace or (str(labels.get("namespace", "")) if isinstance(labels, dict) else "")


def _read(
    series: Sequence[Series], one: ObjectQuery, kind: Kind, wrong: list[str]
) -> Iterator[tuple[Key, float]]:
    label = kind.kind.lower()
    for each in series:
        labels, value = each.get("metric"), answers.last(each)
        labels = labels if isinstance(labels, dict) else {}
        namespace, name = one.namespace or labels.get("namespace"), one.name or labels.get(label)
        if not namespace or not name:
            lacks = "namespace" if not namespace else label
            wrong.append(f"a series has no label `{lacks}`: aggregate {_by(kind)}, or set it")
        elif value is None or not math.isfinite(value) or value < 0:
            wrong.append(f"`{_shown(str(name))}` is said to be {value}, which is no measurement")
        else:
            yield Key(one.metric, kind.qualified, str(namespace), str(name)), value


def _listed(words: Sequence[str]) -> str:
    each = list(dict.fromkeys(words))
    return excuses.listed(each[: excuses.NAMED], len(each))


def _by(kind: Kind) -> str:
    return f"by (namespace, {kind.kind.lower()})"


def _shown(text: str) -> str:
    return text[:MAX_SHOWN].encode("unicode_escape").decode("ascii")
