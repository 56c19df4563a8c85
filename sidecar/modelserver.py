"""The model server as this pod's sidecar knows it: found once, then read every tick."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlsplit

import aiohttp

from sidecar import connections, engines, fetch, search
from sidecar.consistency import ENGINE_NONE
from sidecar.engines import Page
from sidecar.fetch import Access, FetchError, JsonPage, NoPage, NoServer
from sidecar.search import Candidate
from sidecar.settings import Settings
from sidecar.wire import EngineReading, EngineState

Tried = list[tuple[Candidate, Page | FetchError]]

# While the engine is sought, a server that is up without a known page is asked again after this: it
# may yet get one. Where nothing listens each tick asks: what starts there is the model server.
FOREIGN_SECONDS = 5.0
# trtllm-serve keeps a queue of JSON records at /metrics that its first reader empties: another
# reader's figures must not vanish in a search.
JSON_SECONDS = 60.0
# A server that is not ready is asked again after this: it loads for long. One that is ready is
# asked beside each look at the page: what has ended is not called ready for a moment longer.
UNREADY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class EngineRead:
    """One try to read the model server; `problems` are unusable figures of its page,
    `absent` those that it lacks; `url` is where it was.

    `taken_at` is the clock when the page was asked for, None when the read failed. The page tells
    the queue of some moment between the question and the answer, and a busy server may take its
    figures first and send them seconds later: only the question's time never understates the age.
    `failure` is one word for why it failed, None where nothing failed.
    """

    reading: EngineReading
    problems: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    url: str | None = None
    seconds: float | None = None  # how long the read took, None when it failed
    taken_at: float | None = None
    failure: str | None = None


class Foreign(FetchError):
    """A page that has no names of the engines looked for."""

    def __init__(self, why: str) -> None:
        super().__init__(why, "no_engine")


class Unfilled(Foreign):
    """A metrics page without the names, as before a first request: the server has no other one."""


class Unmeasured(NoPage):
    """A server that has its model, and no page with its names: it is not loading."""


def candidates(settings: Settings, host: str = search.LOOPBACK) -> tuple[Candidate, ...]:
    """Return where the model server's page may be; several while the engine is to be found."""
    if settings.engine == ENGINE_NONE or settings.engine in connections.PORTS:
        return ()
    if settings.engine == engines.AUTO:
        url = settings.engine_url
        return search.at(url) if url else search.anywhere(host)
    row = settings.engine_row or engines.rows_of(settings.engine)[0]
    return search.named(row, settings.engine_url)


class ModelServer:
    """Reads the page; remembers where it was, and an answer of the server's present life."""

    def __init__(
        self,
        settings: Settings,
        http: aiohttp.ClientSession,
        clock: Callable[[], float] = time.monotonic,
        found_at: tuple[Candidate, ...] | None = None,
    ) -> None:
        self._candidates = candidates(settings) if found_at is None else found_at
        self._access = Access(
            settings.engine_token_file, settings.engine_ca_file, settings.engine_tls_name
        )
        self._http = http
        self._clock = clock
        self._kind = ENGINE_NONE if settings.engine == engines.AUTO else settings.engine
        self._counted = (
            (settings.engine_port or 0, settings.engine_slots)
            if settings.engine in connections.PORTS
            else None
        )
        self._answered = False
        self._waits: dict[str, tuple[float, FetchError]] = {}
        self._unready_until: dict[str, float] = {}

    async def read(self) -> EngineRead:
        """Return one reading, at the latest seconds after the session's timeout; never raise."""
        if self._counted:
            return await self._count(*self._counted)
        if not self._candidates:
            why = "no model server is configured (--engine none)"
            return EngineRead(EngineReading(ENGINE_NONE, EngineState.NONE, why))
        began = self._clock()
        servers = groupby(self._candidates, key=lambda one: urlsplit(one.url).netloc)
        lists = await asyncio.gather(*(self._try_each(list(pages)) for _, pages in servers))
        tries = [one for tried in lists for one in tried]
        pages = [(one, found) for one, found in tries if isinstance(found, Page)]
        for candidate, found in sorted(pages, key=lambda page: not page[1].is_known):
            if found.reading:
                return self._found(candidate, found, found.reading, began)
        return self._missing([found for _, found in tries if isinstance(found, FetchError)])

    async def _count(self, port: int, slots: int) -> EngineRead:
        """Return the estimate by the connections to a server that tells no queue."""
        began = self._clock()
        try:
            found = await asyncio.to_thread(connections.read, port)
        except OSError as error:
            said = EngineReading(self._kind, EngineState.NONE, f"/proc/net/tcp: {error}")
            return EngineRead(said, failure="unreachable")
        if found.established is None:
            why = f"nothing listens on port {port}"
            return EngineRead(
                EngineReading(self._kind, EngineState.LOADING, why), failure="no_server"
            )
        running = min(max(0, found.established - found.unaccepted), slots)
        reading = EngineReading(
            self._kind,
            EngineState.READY,
            pending=float(found.established - running),
            running=float(running),
            estimate=f"connections to port {port}, of which {slots} are taken for being served"
            " (--engine-slots); idle ones count too",
        )
        return EngineRead(reading, seconds=self._clock() - began, taken_at=began)

    async def _try_each(
        self, pages: Iterable[Candidate]
    ) -> list[tuple[Candidate, Page | FetchError]]:
        """Look at one server's pages in turn; only one that is not there leads to the next.

        Before its first request trtllm-serve's page is empty, and its JSON is not to be read then.
        """
        tries: Tried = []
        for candidate in pages:
            found = await self._try(candidate)
            tries.append((candidate, found))
            last = isinstance(found, JsonPage | Unfilled)
            if last or not isinstance(found, NoPage | Foreign):
                break
        return tries

    async def _try(self, candidate: Candidate) -> Page | FetchError:
        until, before = self._waits.get(candidate.url, (0.0, None))
        if before and self._clock() < until:
            return before
        try:
            page = await fetch.get(self._http, candidate, self._access)
        except FetchError as error:
            return self._wait(candidate, await self._explained(candidate, error))
        found = engines.parse_by(page, candidate.rows)
        if found.reading and (found.is_known or _is_at_home(found.reading.kind, candidate)):
            return found
        kind = Unfilled if page.lstrip()[:1] in (b"", b"#") else Foreign
        why = kind(self._without_names(candidate))
        return self._wait(candidate, await self._explained(candidate, why))

    async def _explained(self, candidate: Candidate, error: FetchError) -> FetchError:
        """Say what the page needs where the server is ready without it."""
        if not isinstance(error, NoServer | Foreign) or not await self._is_ready(candidate):
            return error
        return Unmeasured(f"{error}, yet the server is ready: {candidate.hint}")

    async def _is_ready(self, candidate: Candidate) -> bool:
        if self._clock() < self._unready_until.get(candidate.url, 0.0):
            return False
        ready = any([await fetch.is_ready(self._http, url) for url in candidate.ready])
        if not ready:
            self._unready_until[candidate.url] = self._clock() + UNREADY_SECONDS
        return ready

    def _wait(self, candidate: Candidate, error: FetchError) -> FetchError:
        """Let a server that is no engine's be for a while, as long as others are looked at."""
        foreign = isinstance(error, NoPage | Foreign) and not isinstance(error, Unmeasured)
        if len(self._candidates) > 1 and foreign:
            seconds = JSON_SECONDS if isinstance(error, JsonPage) else FOREIGN_SECONDS
            self._waits[candidate.url] = (self._clock() + seconds, error)
        return error

    def _found(
        self, candidate: Candidate, page: Page, reading: EngineReading, began: float
    ) -> EngineRead:
        if page.is_known:  # another server's page may share a lesser name with an engine
            self._candidates = (candidate,)
            self._kind = reading.kind
        self._answered = True
        seconds = self._clock() - began
        return EngineRead(
            reading, page.problems, page.absent, candidate.url, seconds, taken_at=began
        )

    def _missing(self, errors: list[FetchError]) -> EngineRead:
        """Say what is known without a reading.

        A server that nothing listens for has ended, and what starts in its place has yet to answer.
        Without the page there is no queue to wait for; without the names there is none only where
        no engine was named. Anything else may be a model that is still loading. A server that says
        itself that it is ready is the one that is meant, whatever else listens.
        """
        named = self._kind != ENGINE_NONE
        listening = [error for error in errors if not isinstance(error, NoServer)]
        self._answered = self._answered and bool(listening)
        state = EngineState.FAILING if self._answered else EngineState.LOADING
        if any(isinstance(error, Foreign) for error in listening):
            state = state if named else EngineState.NONE
        elif any(isinstance(error, NoPage) for error in listening):
            state = EngineState.FAILING if named else EngineState.NONE
        told = [error for error in listening if isinstance(error, Unmeasured)] or listening
        why = "; ".join(str(error) for error in told) or self._nothing(errors)
        said = EngineReading(self._kind, state, why)
        return EngineRead(said, failure=(told or errors)[0].failure)

    def _nothing(self, errors: list[FetchError]) -> str:
        if len(errors) == 1:
            return str(errors[0])
        servers = dict.fromkeys(urlsplit(one.url).netloc for one in self._candidates)
        return f"nothing listens where an engine would: {', '.join(servers)}"

    def _without_names(self, candidate: Candidate) -> str:
        if self._kind != ENGINE_NONE:
            return f"{candidate.url} has none of the metric names of {self._kind}"
        offer = connections.offer(urlsplit(candidate.url).port or 80)
        return (
            f"{candidate.url} has none of the metric names of any known engine;"
            f" if it is the model server's, {offer}"
        )


def _is_at_home(kind: str, candidate: Candidate) -> bool:
    """Return whether the page is where this engine has its own.

    Elsewhere a name without a queue, such as `request_success_total`, may be anybody's, and a
    reading of it would call a model ready that is still loading.
    """
    return any(row.kind == kind for row in candidate.own)
