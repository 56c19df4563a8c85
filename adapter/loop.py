"""The loop: collect, append, decide, publish; the only place that looks at a clock."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from msgspec import structs

from adapter.forecastgauges import ForecastGauges
from adapter.model import debut, exits, precedence
from adapter.model.asked import FORGET_SECONDS
from adapter.model.batch import EMPTY, Batch, Origin, Reading
from adapter.model.decide import decide
from adapter.model.exits import Workload
from adapter.model.fleet import Fleet, Standing
from adapter.model.foresight import Foresight
from adapter.model.groups import Groups
from adapter.model.hold import Hold
from adapter.model.latency import Trails
from adapter.model.rates import Meters
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.source import Source, fold, stand
from adapter.model.spending import Spending
from adapter.model.starting import Horizon, Starting
from adapter.model.window import Window
from adapter.podgauges import PodGauges
from adapter.readinggauges import ReadingGauges
from adapter.settings import Model
from adapter.spentcounter import SpentCounter
from adapter.startgauges import StartGauges
from adapter.telemetry import Metrics, log

# A reading costs some 15 us: so many take 3 ms, in which two queries come where 5,000 HPAs ask
# (bench/hpas.py). They take their turns between two steps, a millisecond each (api/turns.py).
READINGS_PER_STEP = 200
PAUSE_SECONDS = 0.003
# Totals of before a start, or that another replica is asked for, are as good as asked for here
# until they were to be read anew twice (settings.ColdStart.period_seconds).
RECALLED_SECONDS = 2 * FORGET_SECONDS


class Sources(Protocol):
    """What the loop needs of the intake."""

    def follow(self, fleet: Fleet) -> None: ...
    def collect(self) -> Batch: ...


class Loop:
    """Turns what the intake delivers into the current Snapshot, twice a second."""

    def __init__(
        self,
        settings: Model,
        fleet: Callable[[], Fleet],
        sources: Sources,
        asked: Callable[[float], Iterable[TotalKey]],
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._intake = sources
        self._asked = asked
        self._metrics = metrics
        self._window = Window(settings.hold_seconds)
        self._meters = Meters(settings.hold_seconds)
        self._trails = Trails(settings.hold_seconds)
        self._sources: dict[str, Source] = {}
        self._serving: set[str] = set()
        self._early: dict[str, Reading] = {}
        self._standings: Mapping[str, Standing] = {}
        self._own_word: precedence.Standings = {}
        self._groups = Groups(settings.hold_seconds)
        self._debuts: dict[str, debut.Debut] = {}
        self._exits = exits.Tally()
        self.starting = Starting()
        self.spending = Spending()
        metrics.registry.register(SpentCounter(self.spending))
        self._start_gauges = StartGauges(metrics)
        self._pod_gauges = PodGauges(metrics)
        self.foresight = Foresight()
        self._forecast_gauges = ForecastGauges(metrics)
        self._reading_gauges = ReadingGauges(metrics)
        self.snapshot: Snapshot | None = None
        self._recalled: dict[TotalKey, float] = {}
        self._recalled_until = math.inf

    def recall(self, totals: Mapping[TotalKey, float]) -> None:
        """Take complete totals of before this start, or of another replica.

        They count as asked for, and as the last ones of objects without any.
        """
        self._recalled = dict(totals)
        self._recalled_until = math.inf

    def in_use(self) -> dict[TotalKey, float]:
        """Return the last complete totals of those that this replica was asked for."""
        if self.snapshot is None:
            return {}
        complete = self.snapshot.complete
        return {key: complete[key] for key in self._asked(self.snapshot.at) if key in complete}

    def apply(self, settings: Model) -> None:
        """Go by other settings from the next tick on."""
        self._settings = settings

    async def run(self) -> None:
        """Tick until cancelled; one broken tick is told and the next one tried."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            try:
                with self._metrics.tick.time():
                    began = clock()
                    for _ in self._steps(began, time.time()):
                        # Where the processor is short each pause is long: after its whole period
                        # a tick makes none, or the Snapshot becomes too old to answer from.
                        if clock() - began < self._settings.tick_seconds:
                            await asyncio.sleep(PAUSE_SECONDS)
            # A task boundary: readers go on with the Snapshot before, until that is too old.
            except Exception:  # noqa: BLE001
                log.exception("tick_failed")
            due = max(due + self._settings.tick_seconds, clock())
            await asyncio.sleep(due - clock())

    def tick(self, now: float, wall: float) -> None:
        """Take all steps of one tick at once."""
        for _ in self._steps(now, wall):
            pass

    def _steps(self, now: float, wall: float) -> Iterator[None]:
        """Collect, append, decide, publish; between two steps others may run."""
        fleet = self._fleet()
        self._intake.follow(fleet)
        self._hold(fleet)
        heard = self._intake.collect()
        self._own_word = precedence.fold(self._own_word, heard, now)
        batch = self._groups.fold(precedence.chosen(self._own_word, heard), fleet, now)
        yield
        self._sources = fold(self._sources, batch, fleet)
        # The same object as before tells all that follows that no standing changed.
        found = stand(fleet, self._sources)
        standings = self._standings if found == self._standings else found
        self._debuts = debut.fold(
            self._debuts, self._standings, standings, fleet=fleet, sources=self._sources, now=now
        )
        if standings is not self._standings:
            self._serve(standings)
        yield
        yield from self._append(batch, standings, now)
        window = self._window.freeze()
        yield
        decided = decide(
            fleet,
            standings,
            self._sources,
            window,
            self._trails.freeze(),
            complete=self._complete(now),
            debuts=self._debuts,
            asked={*self._recalled, *self._asked(now)},
            now=now,
            wall=wall,
        )
        self.snapshot = self._foreseen(decided)
        self._count(self.snapshot)
        self._pod_gauges.show(self.snapshot)
        self.starting.look(fleet, standings, self._sources, wall, now)
        self._start_gauges.turn(self.starting, wall)
        yield
        self.spending.look(decided)

    def _complete(self, now: float) -> Mapping[TotalKey, float]:
        """Return the last complete totals, recalled ones where there are no others."""
        found: Mapping[TotalKey, float] = self.snapshot.complete if self.snapshot else {}
        if self._recalled:
            self._recalled_until = min(self._recalled_until, now + RECALLED_SECONDS)
            found = {**self._recalled, **found}
        if now >= self._recalled_until:
            self._recalled = {}
        return found

    def _foreseen(self, decided: Snapshot) -> Snapshot:
        """Return the Snapshot with what is foreseen of its totals."""

        def horizon(workload: Workload, age_seconds: float) -> Horizon:
            return self.starting.horizon(workload, decided.wall, age_seconds=age_seconds)

        try:
            foreseen = self.foresight.look(decided, horizon)
            self._forecast_gauges.show(foreseen)
        # A boundary: gauges, starts and what was spent go on where a forecast cannot.
        except Exception as error:  # noqa: BLE001
            self._forecast_gauges.failed("all", f"{type(error).__name__}: {error}")
            return decided
        return dataclasses.replace(decided, foreseen=foreseen) if foreseen else decided

    def _hold(self, fleet: Fleet) -> None:
        """Let a silence be as long as the settings and the pods say."""
        hold = Hold(self._settings.hold_seconds, fleet.holds)
        if hold != self._window.hold:
            for past in (self._window, self._meters, self._trails, self._groups):
                past.hold = hold

    def _append(
        self, batch: Batch, standings: Mapping[str, Standing], now: float
    ) -> Iterator[None]:
        """Take in what serving pods say: an idle GPU that waits for its model is no history.

        The last word about the queue of a pod that does not serve yet is kept until it does: its
        source may have nothing new to say for a heartbeat after the kubelet called the pod ready.
        """
        serving = self._serving
        heard: list[Reading] = []
        others: list[Reading] = []
        for reading in batch.readings:
            (heard if reading.uid in serving else others).append(reading)
        early = {reading.uid: reading for reading in others if reading.origin is Origin.POD}
        kept = {uid: word for uid, word in self._early.items() if uid in standings} | early
        begun = [_of_the_queue(kept.pop(uid)) for uid in kept.keys() & serving]
        self._early = kept
        self._window.append(EMPTY, now)
        everything = (*begun, *heard)
        for first in range(0, len(everything), READINGS_PER_STEP):
            taken = Batch(everything[first : first + READINGS_PER_STEP])
            self._window.append(taken, now, self._meters.measure(taken))
            self._trails.take(taken)
            yield

    def _serve(self, standings: Mapping[str, Standing]) -> None:
        """Go by other standings: what does not serve any more has no past."""
        self._standings, served = standings, Standing.SERVING
        self._serving = {uid for uid, standing in standings.items() if standing is served}
        for past in (self._window, self._meters, self._trails):
            past.forget(self._serving)

    def _count(self, snapshot: Snapshot) -> None:
        counts = Counter(snapshot.standings.values())
        for standing in Standing:
            self._metrics.pods.labels(standing.value).set(counts[standing])
        self._reading_gauges.show(snapshot)
        for workload, memory in self._exits.new(snapshot.fleet):
            self._metrics.out_of_memory.labels(*structs.astuple(workload), memory.value).inc()


def _of_the_queue(reading: Reading) -> Reading:
    """Return the reading without its past, and without GPUs, which were loading a model then."""
    points = tuple(point for point in reading.points if not point.series.startswith("gpu"))
    return structs.replace(reading, points=points, history=())
