"""Capped reading: lines of a peer's stream and whole pages, bounded in length and in time.

Shared by everything that reads from pods: what they send is tenants' data.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

import aiohttp

from adapter.errors import BadStream, IntakeError, NoPage

# vLLM's page is about 100 KB with every histogram in use; a page of another order is no page.
MAX_PAGE_BYTES = 2 * 1024 * 1024
# As much as any stream may hold back anyway; what is beyond shares a budget.
SMALL_PAGE_BYTES = 256 * 1024

_HEADERS = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}

# llama.cpp answers 501 where others answer 404: its page is switched off.
_NO_PAGE = (404, 501)

_BROKEN: dict[type[Exception], str] = {
    ConnectionResetError: "the connection was reset",
    aiohttp.ServerDisconnectedError: "the connection was closed before an answer",
    aiohttp.ClientPayloadError: "the connection ended within the answer",
    aiohttp.ClientResponseError: "what it answers is no HTTP",
}

Line = TypeVar("Line", bytes, bytearray)
Large = Callable[[], AbstractAsyncContextManager[None]]  # waits for a place among the large pages


async def follow(
    response: aiohttp.ClientResponse,
    take: Callable[[bytes], float],
    *,
    limit_bytes: int,
    silence_seconds: float,
) -> None:
    """Hand each line without its newline to `take` until the peer ends the stream.

    `take` returns for how many seconds the next line may be waited for; `silence_seconds` is that
    for the first. Raises BadStream when a line grows over the limit, IntakeError when no whole line
    came in that time: bytes that trickle in without a line are silence too.
    """
    rest = bytearray()
    clock = asyncio.get_running_loop().time
    try:
        # One timer that is moved: one for each piece was a fifteenth of what a frame costs.
        async with asyncio.timeout(silence_seconds) as silence:
            while chunk := await response.content.readany():
                *whole, tail = chunk.split(b"\n")
                for part in whole:
                    line = _within(bytes(rest) + part if rest else part, limit_bytes)
                    rest.clear()
                    silence_seconds = take(line)
                    silence.reschedule(clock() + silence_seconds)
                rest += tail
                _within(rest, limit_bytes)
    except TimeoutError:
        raise IntakeError(f"no frame for {silence_seconds:g} s") from None


def _within(line: Line, limit_bytes: int) -> Line:
    if len(line) > limit_bytes:
        raise BadStream(f"a frame is longer than {limit_bytes} bytes")
    return line


def url(ip: str, port: int, path: str) -> str:
    """Return the plain HTTP URL of a pod's own address, IPv6 too."""
    host = f"[{ip}]" if ":" in ip else ip
    return f"http://{host}:{port}{path}"


@asynccontextmanager
async def page(
    session: aiohttp.ClientSession, asked: str, *, seconds: float, large: Large
) -> AsyncIterator[bytes]:
    """Yield the page at a URL; raise NoPage with the reason, in all after `seconds`.

    It must come uncompressed, as it was asked for, so the bytes on the wire are the decoded ones.
    A place among the `large` pages is kept until the caller is done with it.
    """
    async with AsyncExitStack() as held:
        try:
            async with asyncio.timeout(seconds):
                request = session.get(asked, allow_redirects=False, headers=_HEADERS)
                async with request as answer:
                    _check(answer, asked)
                    body = await _body(answer, asked, large, held)
        except TimeoutError:
            raise NoPage(f"{asked} did not answer within {seconds:g} s", "timeout") from None
        except aiohttp.ClientConnectorError as error:
            raise _unreached(asked, error.os_error) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoPage(unheard(asked, error), "broken_off") from None
        yield body


def _check(answer: aiohttp.ClientResponse, asked: str) -> None:
    if 300 <= answer.status < 400:  # noqa: PLR2004 - the range is the name
        raise NoPage(f"{asked} redirects, which is not followed", "redirect")
    if answer.status != 200:  # noqa: PLR2004 - the only good answer
        failure = "no_page" if answer.status in _NO_PAGE else "status"
        raise NoPage(f"{asked} answers {answer.status}", failure)
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise NoPage(f"{asked} answers compressed, which was not asked for", "compressed")


async def _body(
    answer: aiohttp.ClientResponse, asked: str, large: Large, held: AsyncExitStack
) -> bytes:
    body, has_place = bytearray(), False
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_PAGE_BYTES:
            raise NoPage(f"{asked} is longer than {MAX_PAGE_BYTES} bytes", "too_long")
        if len(body) > SMALL_PAGE_BYTES and not has_place:
            await held.enter_async_context(large())
            has_place = True
    return bytes(body)


def _unreached(asked: str, error: OSError) -> NoPage:
    """Tell a port where nothing listens, which the pod says itself, from a way that fails.

    A full backlog is neither: it times out.
    """
    if error.errno == errno.ECONNREFUSED:
        return NoPage(f"{asked} refuses connections", "no_server")
    return NoPage(f"{asked} cannot be reached: {_words(error)}", "unreachable")


def unheard(where: str, error: Exception) -> str:
    """Say why nothing, or no more, comes from a peer, without a library's names for it."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return f"{where} broke off: {_words(error)}"
    if error.os_error.errno == errno.ECONNREFUSED:
        return f"nothing listens at {where} (connection refused)"
    return f"{where} cannot be reached: {_words(error.os_error)}"


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0).lower()  # its own text has addresses and sockets
    known = (words for kind, words in _BROKEN.items() if isinstance(error, kind))
    return next(known, type(error).__name__)


def refuse_host_address(address: str, *, allow_loopback: bool) -> None:
    """Raise IntakeError for an address that no pod of a cluster can have.

    Pod status is written by kubelets, but a forged one must not turn the adapter into a probe of
    its own node or of a cloud's metadata service.
    """
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    if found.is_loopback and allow_loopback:
        return
    if found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast:
        raise IntakeError(
            f"{address} is no address of a pod"
            " (intake.allowLoopback permits loopback for trying things out)"
        )
