"""Traffic: real requests at a set rate, each to the ready pod that has the fewest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

import aiohttp

from tests.e2e.llmpods import LlmPod, LlmPods

REQUEST_SECONDS = 120.0
LONGEST_SECONDS = 300.0  # no test sends for longer
MAX_OUTSTANDING = 2000


class Traffic:
    """An async context manager; `rate` (requests a second) may be set at any time.

    `takes` says which of the pods have these requests.
    """

    def __init__(
        self,
        pods: LlmPods,
        session: aiohttp.ClientSession,
        takes: Callable[[LlmPod], bool] = lambda _: True,
    ) -> None:
        self.rate = 0.0
        self.served = 0
        self.failed = 0
        self._pods = pods
        self._takes = takes
        self._session = session
        self._requests: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._requests, *([self._sender] if self._sender else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        due = 0.0
        async with asyncio.timeout(LONGEST_SECONDS):
            while True:
                await asyncio.sleep(0.05)
                due += self.rate * 0.05
                while due >= 1.0:
                    due -= 1.0
                    self._one()

    def _one(self) -> None:
        ready = [pod for pod in self._pods.ready() if self._takes(pod)]
        if not ready or len(self._requests) >= MAX_OUTSTANDING:
            self.failed += 1
            return
        chosen = min(ready, key=lambda pod: pod.outstanding)
        task = asyncio.create_task(self._ask(chosen))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _ask(self, pod: LlmPod) -> None:
        pod.outstanding += 1
        engine = self._pods.engine
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            async with self._session.post(
                pod.url + engine.completions, json=engine.body, timeout=timeout
            ) as answer:
                await answer.read()
            self.served += 1
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1
        finally:
            pod.outstanding -= 1
