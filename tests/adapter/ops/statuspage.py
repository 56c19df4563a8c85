"""What the tests of the status page share: the page over HTTP, over pods that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from aiohttp import ClientSession

from adapter.model.spending import Spending
from adapter.model.starting import Starting
from adapter.ops import server
from adapter.ops.probes import Probes
from adapter.ops.status import Status
from adapter.settings import Ops, Tariff
from adapter.telemetry import Metrics
from tests.adapter.model.world import World, serving_pod

BUSY = {"pending": 4.0, "running": 8.0, "inflight": 12.0, "gpu_busy_percent": 50.0}


class Scene:
    """The ops port with the status page; `look` takes in what the world is now."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.url = ""
        self.starting, self.spending = Starting(), Spending()
        self.probes = Probes(
            read=lambda: self.world.snapshot, now=lambda: self.world.now, first_try_seconds=1.0
        )
        self.tariff = Tariff()
        self.status = Status(
            lambda: self.world.snapshot,
            self.starting,
            self.spending,
            self.probes,
            lambda: self.tariff,
        )

    async def look(self, seconds: int = 1) -> None:
        snapshot = self.world.advance(seconds)
        self.starting.look(
            snapshot.fleet, snapshot.standings, snapshot.sources, snapshot.wall, snapshot.at
        )
        self.spending.look(snapshot)
        await self.status.look()

    async def get(self, path: str = "/status") -> tuple[int, str]:
        async with ClientSession() as session, session.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.text()

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[Self]:
        pages = self.status.pages()
        runner, port = await server.start(Ops("127.0.0.1", port), self.probes, Metrics(), *pages)
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            self.status.events.close()
            await runner.cleanup()


def busy(*names: str) -> World:
    """Return a world of pods that all say the same, one of which says nothing."""
    made = World(*(serving_pod(name) for name in names), serving_pod("quiet"))
    made.say = dict.fromkeys(names, BUSY)
    return made
