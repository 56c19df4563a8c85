"""One DCGM exporter: its page, asked in rounds, becomes GPU readings of the pods of its node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from adapter.errors import IntakeError, NoPage
from adapter.intake import dcgm, gpus, nodesource
from adapter.intake.capped import refuse_host_address, url
from adapter.intake.nodesource import PodKey
from adapter.intake.reader import PageReader
from adapter.intake.rounds import Round, rounds
from adapter.model.batch import Reading
from adapter.model.fleet import MetricsPage, Pod
from adapter.settings import Intake
from adapter.telemetry import Metrics, Once, log, warn
from sidecar.wire import GpuReading

# Three looks per collection: what was collected is seen at most a third of a period later.
LOOKS_PER_PERIOD = 3

UNLISTED = "the DCGM exporter of its node lists no GPU for it"
CONTESTED = "lines name a pod or a GPU in two ways, as by pods' labels: such a GPU is withheld"
OLDER = "the DCGM exporter of its node was last seen to collect before this pod ran here"
NAMELESS = (
    "the DCGM exporter of its node names no pod: it needs DCGM_EXPORTER_KUBERNETES=true and the"
    " kubelet's pod-resources directory"
)


class ExporterTarget(msgspec.Struct, frozen=True):
    """Where one node's exporter shows its metrics."""

    uid: str
    name: str  # namespace/name
    ip: str
    page: MetricsPage

    @property
    def namespace(self) -> str:
        """Whose turn it is when its page is read."""
        return self.name.partition("/")[0]


class Exporter:
    """Reads one exporter until cancelled.

    `wards` returns the pods that it may speak for now. `deliver` gets a Reading for each of them,
    `fail` the reason in words when the page cannot be had, with Readings that say it.
    """

    def __init__(
        self,
        target: ExporterTarget,
        reader: PageReader,
        settings: Intake,
        metrics: Metrics,
        *,
        wards: Callable[[], Mapping[PodKey, Pod]],
        deliver: Callable[[ExporterTarget, tuple[Reading, ...]], None],
        fail: Callable[[ExporterTarget, str, tuple[Reading, ...]], None],
    ) -> None:
        self._target = target
        self._reader = reader
        self._settings = settings
        self._metrics = metrics
        self._wards = wards
        self._deliver = deliver
        self._fail = fail
        self._once = Once(warn)
        self._cost_seconds = 0.0
        self._digest = b""
        self._looked_at = -float("inf")
        self._taken_at = -float("inf")
        self._running_since: dict[str, float] | None = None  # by UID

    async def run(self, first_delay_seconds: float) -> None:
        """Ask several times per collection until cancelled."""
        period = self._settings.exporter_period_seconds / LOOKS_PER_PERIOD
        await rounds(self._ask, period, first_delay_seconds)

    async def _ask(self) -> Round:
        """Ask once and hand on what came of it; an exporter cannot make this raise."""
        self._cost_seconds = 0.0
        return Round(await self._attempt(), self._cost_seconds)

    async def _attempt(self) -> bool:
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        self._note_pods(asked_at)
        try:
            refuse_host_address(self._target.ip, allow_loopback=self._settings.allow_loopback)
            found = await self._read()
            self._date(found, asked_at)
            self._hand_on(found, clock())
        except NoPage as error:
            self._missing(str(error), error.failure)
            return False
        except (IntakeError, ValueError) as error:
            self._missing(str(error), "refused")
            return False
        # A task boundary: what nobody foresaw costs this attempt, not the node's GPUs for ever.
        except Exception as error:  # noqa: BLE001
            log.exception("exporter_broke", extra={"fields": {"pod": self._target.name}})
            words = f"the adapter could not read the page: {type(error).__name__}"
            self._missing(words, "refused")
            return False
        self._metrics.scrapes.labels("taken").inc()
        return True

    async def _read(self) -> dcgm.Page:
        there = url(self._target.ip, self._target.page.port, self._target.page.path)
        asked = (self._target.namespace, there, self._settings.scrape_seconds)
        found, self._cost_seconds = await self._reader.read(*asked, dcgm.read)
        if not found.fields:  # while it loads its configuration anew its page is an empty 200
            raise NoPage(f"{there} has none of DCGM's fields", "no_engine")
        return found

    def _date(self, found: dcgm.Page, asked_at: float) -> None:
        """Say at the earliest when the page was collected.

        The exporter shows what it collected within its period, and does not say when. A page that
        differs from the last was collected since that was seen. One that is equal, though power is
        on it, was not collected anew: its exporter has stopped, and its figures grow old.
        """
        changed = found.digest != self._digest
        if changed or not found.moves:
            since = self._looked_at if changed else -float("inf")
            earliest = max(since, asked_at - self._settings.exporter_period_seconds)
            self._taken_at = max(self._taken_at, earliest)
        self._digest, self._looked_at = found.digest, asked_at

    def _hand_on(self, found: dcgm.Page, now: float) -> None:
        for problem in found.problems:
            name, _, words = problem.partition(": ")
            self._drop(name, words)
        if found.contested:
            self._drop("labels", f"{CONTESTED} ({found.contested} now)", found.contested)
        readings = []
        for key, pod in self._wards().items():
            why = _why_not(found, key, pod)
            # An exporter knows pods by name: its page may tell of one that ended.
            if why is None and self._taken_at < (self._running_since or {}).get(pod.uid, now):
                why = OLDER
            readings.append(self._reading(pod, () if why else found.gpus[key], now, why))
        self._deliver(self._target, tuple(readings))

    def _note_pods(self, now: float) -> None:
        """Note since when each pod was seen to run here; those of the first look always did."""
        known, first_seen = self._running_since, now
        if known is None:
            known, first_seen = {}, -float("inf")
        running = (pod.uid for pod in self._wards().values() if pod.phase == "Running")
        self._running_since = {uid: known.get(uid, first_seen) for uid in running}

    def _reading(
        self, pod: Pod, told: tuple[GpuReading, ...], now: float, why: str | None
    ) -> Reading:
        return nodesource.reading(
            pod,
            told,
            at=now,
            age_seconds=now - self._taken_at,
            period_seconds=self._settings.exporter_period_seconds,
            drop=self._drop,
            why=why,
        )

    def _missing(self, words: str, failure: str) -> None:
        self._metrics.scrapes.labels(failure).inc()
        now = asyncio.get_running_loop().time()
        why = f"the exporter {self._target.name}: {words}"
        silent = (self._reading(pod, (), now, why) for pod in self._wards().values())
        self._fail(self._target, words, tuple(silent))

    def _drop(self, name: str, words: str, count: int = 1) -> None:
        self._metrics.dropped_values.labels("page").inc(count)
        self._once("figure_dropped", name, words, state=name, pod=self._target.name, series=name)


def _why_not(found: dcgm.Page, key: PodKey, pod: Pod) -> str | None:
    """Return in words why the pod gets no figures of this page, None where it gets some."""
    if key not in found.gpus:
        return UNLISTED if found.gpus else NAMELESS
    shared = found.shared.get(key)
    if shared is None or pod.holding.sharing_allowed:
        more = gpus.beyond(found.gpus[key], pod)
        return f"the DCGM exporter of its node {more}" if more else None
    return (
        f"shared GPUs are withheld: the DCGM exporter lists {shared} for several pods"
        " (annotation forescale.dev/shared-gpu: allow permits)"
    )
