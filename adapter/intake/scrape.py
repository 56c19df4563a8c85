"""One scrape: a model server's own pages, asked again and again, for a pod that has no sidecar."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from adapter.errors import IntakeError, NoPage
from adapter.intake import frames
from adapter.intake.capped import refuse_host_address, url
from adapter.intake.merged import merged
from adapter.intake.reader import PageReader
from adapter.intake.rounds import Round, rounds
from adapter.model.batch import ModelState, Reading
from adapter.model.fleet import MetricsPage
from adapter.settings import Intake
from adapter.telemetry import Metrics, Once, log, warn
from sidecar import engines, wire

LIFE = "scrape"  # what stands for a boot id: a page does not say one


class ScrapeTarget(msgspec.Struct, frozen=True):
    """Where one pod's model servers show their metrics."""

    uid: str
    name: str  # namespace/name
    ip: str
    pages: tuple[MetricsPage, ...]

    @property
    def namespace(self) -> str:
        """Whose turn it is when its pages are read."""
        return self.name.partition("/")[0]


class Scrape:
    """Asks for one pod's pages every period until it is cancelled.

    `deliver` gets the Reading of every answer, `fail` the reason in words of every other try,
    with a Reading that says in which state the model server must then be. `is_ready` tells whether
    a probe of the kubelet's says at present that the model is loaded.
    """

    def __init__(
        self,
        target: ScrapeTarget,
        reader: PageReader,
        settings: Intake,
        metrics: Metrics,
        *,
        is_ready: Callable[[], bool],
        deliver: Callable[[ScrapeTarget, tuple[Reading, ...]], None],
        fail: Callable[[ScrapeTarget, str, tuple[Reading, ...]], None],
    ) -> None:
        self._target = target
        self._reader = reader
        self._settings = settings
        self._metrics = metrics
        self._is_ready = is_ready
        self._deliver = deliver
        self._fail = fail
        self._once = Once(warn)
        self._answered = False
        self._cost_seconds = 0.0

    async def run(self, first_delay_seconds: float) -> None:
        """Ask every period until cancelled."""
        await rounds(self._ask, self._settings.scrape_period_seconds, first_delay_seconds)

    async def _ask(self) -> Round:
        """Ask once and hand on what came of it; a pod cannot make this raise."""
        self._cost_seconds = 0.0
        return Round(await self._attempt(), self._cost_seconds)

    async def _attempt(self) -> bool:
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        try:
            refuse_host_address(self._target.ip, allow_loopback=self._settings.allow_loopback)
            found = await self._read()
            self._answered = True
            self._deliver(self._target, (self._reading(found, asked_at, clock()),))
        except NoPage as error:
            self._missing(error, clock())
            return False
        except (IntakeError, ValueError) as error:
            self._count("refused")
            self._fail(self._target, str(error), ())
            return False
        # A task boundary: what nobody foresaw costs this attempt, not the pod's scrapes for ever.
        except Exception as error:  # noqa: BLE001
            log.exception("scrape_broke", extra={"fields": {"pod": self._target.name}})
            words = f"the adapter could not read the page: {type(error).__name__}"
            self._fail(self._target, words, ())
            return False
        self._count("taken")
        return True

    async def _read(self) -> wire.EngineReading:
        """Return what all pages say together; raise NoPage when one of them is missing."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._page(one)) for one in self._target.pages]
        found = [task.result() for task in tasks]
        for one in found:
            if isinstance(one, NoPage):
                raise one
        return merged([one for one in found if not isinstance(one, NoPage)])

    async def _page(self, asked: MetricsPage) -> wire.EngineReading | NoPage:
        """Return what one page says; a missing page is returned, so that none cancels another."""
        there = url(self._target.ip, asked.port, asked.path)
        try:
            found, cost = await self._reader.read(
                self._target.namespace,
                there,
                self._settings.scrape_seconds,
                lambda body: engines.parse(body, asked.engine),
            )
        except NoPage as error:
            return self._explained(error, asked)
        self._cost_seconds += cost
        if found.reading is None:
            return NoPage(f"{there} has none of the metric names of {asked.engine}", "no_engine")
        return self._sound(found.reading, found.problems)

    def _explained(self, error: NoPage, asked: MetricsPage) -> NoPage:
        """Say what would give the page; of one that is closed, that no waiting does."""
        if error.failure == "no_server" and self._is_ready():
            return NoPage(f"{error}, yet the pod's probe passes{_hint(asked)}", "closed")
        hint = _hint(asked) if error.failure in ("no_page", "redirect") else ""
        return NoPage(f"{error}{hint}", error.failure)

    def _sound(self, reading: wire.EngineReading, problems: Sequence[str]) -> wire.EngineReading:
        """Return the reading with its page's unusable figures, which are None in it, in words."""
        for problem in problems:
            name, _, words = problem.partition(": ")
            self._drop(name, words)
        told = (*problems, reading.why)
        return msgspec.structs.replace(reading, why="; ".join(filter(None, told)) or None)

    def _reading(self, found: wire.EngineReading, asked_at: float, now: float) -> Reading:
        """Return the same Reading that a sidecar beside the model server would have sent.

        The page tells the queue of some moment after the question, so its time is the question's.
        """
        frame = wire.Frame(
            schema=wire.SCHEMA,
            boot=LIFE,
            seq=0,
            period_seconds=self._settings.scrape_period_seconds,
            age_seconds=wire.Ages(engine=now - asked_at),
            engine=found,
        )
        return frames.reading(frame, self._target.uid, now, self._drop)

    def _missing(self, error: NoPage, now: float) -> None:
        """Say in which state a server without a page must be.

        Nothing listens: the model is being loaded, unless a probe says that it is. It answers with
        an error, and has not answered otherwise before: the same. It takes connections and is late:
        it is busy, and to call that loading would take an overloaded pod out of every total; so
        would a network that fails.
        """
        if error.failure == "no_server":
            self._answered = False
        loading = error.failure in ("no_server", "status") and not self._answered
        state = ModelState.LOADING if loading else ModelState.FAILING
        period, why = self._settings.scrape_period_seconds, {"engine": str(error)}
        self._count(error.failure)
        missing = Reading(self._target.uid, now, period, state, (), why, life=LIFE)
        self._fail(self._target, str(error), (missing,))

    def _drop(self, name: str, words: str) -> None:
        self._metrics.dropped_values.labels("page").inc()
        self._once("figure_dropped", name, words, state=name, pod=self._target.name, series=name)

    def _count(self, result: str) -> None:
        self._metrics.scrapes.labels(result).inc()


def _hint(asked: MetricsPage) -> str:
    rows = engines.rows_of(asked.engine)
    return f": {rows[0].hint}" if len(rows) == 1 else ""
