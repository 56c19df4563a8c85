"""The load: the trace as real requests, and the load balancer that hands them to ready pods."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import aiohttp

from adapter.demo.replica import Replica

RATE_SECONDS = 5.0  # the load shown is the mean of the last seconds
_TIMEOUT = aiohttp.ClientTimeout(total=60.0)  # what a person waits at most


class Balancer:
    """Sends each request to the ready pod that has the fewest; counts what became of them."""

    def __init__(
        self, replicas: Callable[[], Iterable[Replica]], session: aiohttp.ClientSession
    ) -> None:
        self._replicas = replicas
        self._session = session
        self._recent: deque[float] = deque()
        self.sent = 0
        self.served = 0
        self.failed = 0

    async def play(self, arrivals: Iterator[float], group: asyncio.TaskGroup) -> None:
        """Send the requests when they are due, each as a task of the group, until cancelled."""
        clock = asyncio.get_running_loop().time
        began = clock()
        for due in arrivals:
            await asyncio.sleep(max(0.0, began + due - clock()))
            self._recent.append(clock())
            self.sent += 1
            group.create_task(self._send())

    def rate(self, now: float) -> float:
        """Return the requests per second that arrived lately."""
        while self._recent and self._recent[0] < now - RATE_SECONDS:
            self._recent.popleft()
        return len(self._recent) / RATE_SECONDS

    async def _send(self) -> None:
        ready = [replica for replica in self._replicas() if replica.pod.serving]
        if not ready:
            self.failed += 1
            return
        chosen = min(ready, key=lambda replica: replica.outstanding)
        chosen.take()
        try:
            await self._ask(chosen.url)
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1
        else:
            self.served += 1
        finally:
            chosen.give_back()

    async def _ask(self, url: str) -> None:
        asked = {"model": "demo", "prompt": "Write a test.", "max_tokens": 16}
        url = f"{url}/v1/completions"
        async with self._session.post(url, json=asked, timeout=_TIMEOUT) as answer:
            answer.raise_for_status()
            await answer.read()
