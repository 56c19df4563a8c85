"""A client that goes on asking as an HPA does, and remembers every answer that was none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.controlplane.api import Api

TIMEOUT = aiohttp.ClientTimeout(total=10.0)


@dataclass
class Asked:
    """What became of the questions."""

    count: int = 0
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def asking(api: Api, *paths: str, every_seconds: float = 0.1) -> AsyncIterator[Asked]:
    """Ask kube-apiserver for each path in turn, all along, on connections of its own."""
    asked = Asked()

    async def ask() -> None:
        while True:
            for path in paths:
                await _ask(api, path, asked)
                await asyncio.sleep(every_seconds)

    task = asyncio.create_task(ask())
    try:
        yield asked
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _ask(api: Api, path: str, asked: Asked) -> None:
    began = time.time()
    asked.count += 1
    try:
        async with api.session.get(path, timeout=TIMEOUT) as answer:
            body = await answer.text()
            # An empty list is no answer for an HPA: it says `no metrics returned`.
            if answer.ok and '"items":[]' not in body:
                return
            words = f"{answer.status} {body[:300]}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        words = repr(error)
    asked.failures.append(f"{began:.2f} +{time.time() - began:.2f} {path}: {words}")
