"""The reader: a page is fetched within its caps, and parsed in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import aiohttp

from adapter.intake.capped import page

# 16 x 2 MiB at most are held in memory at a time, however many pods send much.
LARGE_PAGES = 16

_Parsed = TypeVar("_Parsed")


class PageReader:
    """Shared by all that read pages. One thread parses, so one slow page delays other pages alone:
    no stream, no tick and no answer."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pages")
        self._large = asyncio.Semaphore(LARGE_PAGES)

    def close(self) -> None:
        """Parse nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def read(
        self, url: str, seconds: float, parse: Callable[[bytes], _Parsed]
    ) -> tuple[_Parsed, float]:
        """Return what the page came to, and the seconds of processor time that took.

        Raises NoPage with the reason in words.
        """

        def timed(body: bytes) -> tuple[_Parsed, float]:
            began = time.thread_time()
            return parse(body), time.thread_time() - began

        loop = asyncio.get_running_loop()
        async with page(self._session, url, seconds=seconds, large=self._large) as body:
            return await loop.run_in_executor(self._thread, timed, body)
