"""The reader: a page is fetched within its caps, and parsed in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import aiohttp

from adapter.intake.capped import page
from adapter.intake.slots import Slots

# 16 x 2 MiB at most are held in memory at a time, however many pods send much, and of one namespace
# a quarter: whose pages trickle in, each until its deadline, keeps no other's large ones out.
LARGE_PAGES = 16
LARGE_PAGES_EACH = 4

_Parsed = TypeVar("_Parsed")


class PageReader:
    """Shared by all that read pages. One thread parses, so a slow page delays other pages alone, by
    one of each namespace: no stream, no tick and no answer."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pages")
        self._large = Slots(LARGE_PAGES, LARGE_PAGES_EACH)
        self._parsing = Slots(1, 1)

    def close(self) -> None:
        """Parse nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def read(
        self, namespace: str, url: str, seconds: float, parse: Callable[[bytes], _Parsed]
    ) -> tuple[_Parsed, float]:
        """Return what the page came to, and the seconds of processor time that took.

        `namespace` is whose turn it is to be parsed. Raises NoPage with the reason in words.
        """

        def timed(body: bytes) -> tuple[_Parsed, float]:
            began = time.thread_time()
            return parse(body), time.thread_time() - began

        loop = asyncio.get_running_loop()
        large = functools.partial(self._large.of, namespace)
        async with (
            page(self._session, url, seconds=seconds, large=large) as body,
            self._parsing.of(namespace),
        ):
            return await loop.run_in_executor(self._thread, timed, body)
