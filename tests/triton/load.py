"""Owns the load on a Triton server in tests: real inference requests over KServe v2 HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import aiohttp

PROMPT = {"inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [1], "data": ["hello"]}]}


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What became of the requests: how many were answered, and why the others were not."""

    answered: int
    failures: tuple[str, ...]
    elapsed_seconds: float


async def load(
    url: str,
    *,
    concurrent: int,
    seconds: float,
    model: str = "llm",
    request_timeout_seconds: float = 30.0,
) -> Load:
    """Keep `concurrent` requests in flight for `seconds`, then let the last ones end.

    Each client sends its next request when the one before it is over, so this takes at most
    `seconds + request_timeout_seconds`, and `concurrent` bounds the server's queue.
    """
    started = time.monotonic()
    clients = Clients(
        url=f"{url}/v2/models/{model}/infer",
        until=started + seconds,
        timeout=aiohttp.ClientTimeout(total=request_timeout_seconds),
    )
    outcomes = await clients.run(concurrent)
    failures = tuple(why for one in outcomes for why in one if why is not None)
    answered = sum(why is None for one in outcomes for why in one)
    return Load(answered, failures, time.monotonic() - started)


@dataclasses.dataclass(frozen=True, slots=True)
class Clients:
    """A closed loop of clients; `until` is a time of `time.monotonic`."""

    url: str
    until: float
    timeout: aiohttp.ClientTimeout

    async def run(self, count: int) -> list[list[str | None]]:
        """Return, per client, one entry per request: None for an answer, else what went wrong."""
        connector = aiohttp.TCPConnector(limit=count)
        async with aiohttp.ClientSession(connector=connector, timeout=self.timeout) as http:
            return await asyncio.gather(*(self._client(http) for _ in range(count)))

    async def _client(self, http: aiohttp.ClientSession) -> list[str | None]:
        outcomes: list[str | None] = []
        while time.monotonic() < self.until:
            outcomes.append(await self._infer(http))
            if outcomes[-1] is not None:
                await asyncio.sleep(0.1)  # a refused connection must not become a busy loop
        return outcomes

    async def _infer(self, http: aiohttp.ClientSession) -> str | None:
        try:
            async with http.post(self.url, json=PROMPT) as answer:
                body = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}".removesuffix(": ")
        return None if answer.status == 200 else f"{answer.status}: {body[:200]}"
