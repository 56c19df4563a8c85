"""The fetch: the model server's metrics page over HTTP, and what its absence means."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from sidecar import engines
from sidecar.engines import Page, Row
from sidecar.settings import ENGINE_NONE, Settings
from sidecar.wire import EngineReading, EngineState

# vLLM's page is about 100 KB with every histogram in use; a page of another order is no page.
MAX_PAGE_BYTES = 2 * 1024 * 1024

# What a connection ends with where no server is. A full backlog is none of these (it times out),
# and neither is a shortage of this process, such as EMFILE.
NO_SERVER = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)

HEADERS = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class EngineRead:
    """One try to read the model server; `problems` are unusable figures of its page.

    `taken_at` is the clock when the page was asked for, None when the read failed. The page tells
    the queue of some moment between the question and the answer, and a busy server may take its
    figures first and send them seconds later: only the question's time never understates the age.
    `failure` is one word for why it failed, None where nothing failed.
    """

    reading: EngineReading
    problems: tuple[str, ...] = ()
    seconds: float | None = None  # how long the read took, None when it failed
    taken_at: float | None = None
    failure: str | None = None


class FetchError(Exception):
    """A page that could not be had; the text says why, in words for the pod's owner.

    `failure` is the same in one word of a fixed few, to count by.
    """

    def __init__(self, why: str, failure: str) -> None:
        super().__init__(why)
        self.failure = failure


class NoPage(FetchError):
    """A server that is up and has no such page: no model is being waited for, it has no queue."""

    def __init__(self, why: str) -> None:
        super().__init__(why, "no_page")


class NoServer(FetchError):
    """Nothing listens: a server that is only busy would let the connection wait instead."""

    def __init__(self, why: str) -> None:
        super().__init__(why, "no_server")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One page to look at: the engines to look for there, and what to say when it is not there."""

    url: str
    kind: str
    hint: str


def candidates(settings: Settings) -> tuple[Candidate, ...]:
    """Return where the model server's page may be; several while the engine is to be found."""
    if settings.engine == ENGINE_NONE:
        return ()
    rows = engines.rows_of(settings.engine)
    if settings.engine_url:
        hint = rows[0].hint if len(rows) == 1 else "is --engine-url its metrics page?"
        return (Candidate(settings.engine_url, settings.engine, hint),)
    return tuple(Candidate(_url(row), row.kind, row.hint) for row in rows)


def _url(row: Row) -> str:
    return f"http://127.0.0.1:{row.port}{row.path}"  # one pod, one network namespace


def session(timeout_seconds: float) -> aiohttp.ClientSession:
    """Return a client that keeps to this pod: no proxies, no cookies, nothing unpacked."""
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=4),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=HEADERS,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        trust_env=False,
    )


async def get(http: aiohttp.ClientSession, candidate: Candidate) -> bytes:
    """Return the page; raise FetchError with the reason in words."""
    url = candidate.url
    try:
        async with http.get(url, allow_redirects=False) as answer:
            _check(answer, candidate)
            return await _body(answer, url)
    except TimeoutError:
        raise FetchError(f"{url} did not answer in time", "timeout") from None
    except aiohttp.ClientConnectorError as error:
        raise _unreached(url, error.os_error) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchError(f"{url} broke off: {type(error).__name__}", "broken_off") from None


def _unreached(url: str, error: OSError) -> FetchError:
    if error.errno == errno.ECONNREFUSED:
        return NoServer(f"{url} refuses connections")
    said = f"{url} cannot be reached: {error}"
    return NoServer(said) if error.errno in NO_SERVER else FetchError(said, "unreachable")


def _check(answer: aiohttp.ClientResponse, candidate: Candidate) -> None:
    if answer.status == 404:  # noqa: PLR2004 - the status itself is the clearest name
        raise NoPage(f"{candidate.url} answers 404: {candidate.hint}")
    if 300 <= answer.status < 400:  # noqa: PLR2004
        raise NoPage(f"{candidate.url} redirects, which is not followed: {candidate.hint}")
    if answer.status != 200:  # noqa: PLR2004
        raise FetchError(f"{candidate.url} answers {answer.status}", "status")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        said = f"{candidate.url} answers compressed, which was not asked for"
        raise FetchError(said, "compressed")


async def _body(answer: aiohttp.ClientResponse, url: str) -> bytes:
    page = bytearray()
    async for piece in answer.content.iter_any():
        page += piece
        if len(page) > MAX_PAGE_BYTES:
            raise FetchError(f"{url} is longer than {MAX_PAGE_BYTES} bytes", "too_long")
    return bytes(page)


class ModelServer:
    """The model server as this pod's sidecar knows it; remembers an answer of its present life."""

    def __init__(
        self,
        settings: Settings,
        http: aiohttp.ClientSession,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._candidates = candidates(settings)
        self._http = http
        self._clock = clock
        self._kind = ENGINE_NONE if settings.engine == engines.AUTO else settings.engine
        self._answered = False

    async def read(self) -> EngineRead:
        """Return one reading, at the latest after the session's timeout; never raise."""
        if not self._candidates:
            why = "no model server is configured (--engine none)"
            return EngineRead(EngineReading(ENGINE_NONE, EngineState.NONE, why))
        began = self._clock()
        tries = await asyncio.gather(*(self._try(one) for one in self._candidates))
        for candidate, found in zip(self._candidates, tries, strict=True):
            if isinstance(found, Page) and found.reading:
                return self._found(candidate, found.reading, found.problems, began)
        return self._missing(tries)

    async def _try(self, candidate: Candidate) -> Page | FetchError:
        try:
            return engines.parse(await get(self._http, candidate), candidate.kind)
        except FetchError as error:
            return error

    def _found(
        self, candidate: Candidate, reading: EngineReading, problems: tuple[str, ...], began: float
    ) -> EngineRead:
        self._candidates = (candidate,)
        self._kind = reading.kind
        self._answered = True
        return EngineRead(reading, problems, self._clock() - began, taken_at=began)

    def _missing(self, tries: list[Page | FetchError]) -> EngineRead:
        """Say what is known without a reading.

        A server that nothing listens for has ended, and what starts in its place has yet to answer.
        Without the page there is no queue to wait for; without the names there is none only where
        no engine was named. Anything else may be a model that is still loading.
        """
        named = self._kind != ENGINE_NONE
        self._answered = self._answered and not all(isinstance(one, NoServer) for one in tries)
        state = EngineState.FAILING if self._answered else EngineState.LOADING
        errors = [found for found in tries if isinstance(found, FetchError)]
        if len(errors) < len(tries):
            errors = [self._foreign()]
            state = state if named else EngineState.NONE
        elif without := [found for found in errors if isinstance(found, NoPage)]:
            errors = [*without]
            state = EngineState.FAILING if named else EngineState.NONE
        why = "; ".join(str(error) for error in errors)
        return EngineRead(EngineReading(self._kind, state, why), failure=errors[0].failure)

    def _foreign(self) -> FetchError:
        urls = " or ".join(candidate.url for candidate in self._candidates)
        wanted = self._kind if self._kind != ENGINE_NONE else "any known engine"
        return FetchError(f"{urls} has none of the metric names of {wanted}", "no_engine")
