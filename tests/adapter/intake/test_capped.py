"""Capped pages: many large ones share few places, small ones need none."""

import asyncio

import aiohttp
from aiohttp import web

from adapter.intake.capped import SMALL_PAGE_BYTES, page, url
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
