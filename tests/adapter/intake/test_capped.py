"""Capped pages: many large ones share few places, small ones need none."""

import asyncio
import errno

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey

from adapter.intake.capped import SMALL_PAGE_BYTES, page, unheard, url
from adapter.intake.slots import Slots
from tests.adapter.intake.scraping import answering, listening


async def test_a_large_page_waits_for_a_place_and_a_small_one_does_not() -> None:
    async def sized(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.path[1:]))

    large = Slots(1, 1)
    order: list[str] = []
    async with listening(answering(sized)) as port, aiohttp.ClientSession() as session:

        async def ask(name: str, size: int) -> None:
            there = url("127.0.0.1", port, f"/{size}")
            async with page(session, there, seconds=3, large=lambda: large.of("a")) as body:
                assert len(body) == size
                order.append(name)

        async with large.of("a"):
            waiting = asyncio.create_task(ask("large", SMALL_PAGE_BYTES + 1))
            await asyncio.sleep(0.2)
            await ask("small", SMALL_PAGE_BYTES)
        await waiting
    assert order == ["small", "large"]


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert url("fd00::7", 8000, "/metrics") == "http://[fd00::7]:8000/metrics"


def _no_connection(number: int) -> aiohttp.ClientConnectorError:
    said = OSError(number, "Connect call failed ('10.77.16.7', 9401)")
    key = ConnectionKey(
        host="10.77.16.7", port=9401, is_ssl=False, ssl=True,
        proxy=None, proxy_auth=None, proxy_headers_hash=None,
    )  # fmt: skip
    return aiohttp.ClientConnectorError(key, said)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (_no_connection(errno.ECONNREFUSED), "nothing listens at THERE (connection refused)"),
        (_no_connection(errno.EHOSTUNREACH), "THERE cannot be reached: no route to host"),
        (_no_connection(errno.ENETUNREACH), "THERE cannot be reached: network is unreachable"),
        (
            ConnectionResetError(errno.ECONNRESET, "reset"),
            "THERE broke off: connection reset by peer",
        ),
        (ConnectionResetError("Cannot write to"), "THERE broke off: the connection was reset"),
        (
            aiohttp.ServerDisconnectedError(),
            "THERE broke off: the connection was closed before an answer",
        ),
        (
            aiohttp.ClientPayloadError("x"),
            "THERE broke off: the connection ended within the answer",
        ),
        (ValueError("Chunk too big"), "THERE broke off: ValueError"),
    ],
)
def test_why_nothing_comes_is_told_in_words_without_a_librarys(
    error: Exception, words: str
) -> None:
    there = "http://10.77.16.7:9401"
    assert unheard(there, error) == words.replace("THERE", there)
