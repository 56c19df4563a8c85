"""The stage: every part of the demo, started, joined, shown and stopped."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec

from adapter.demo import trace as demo_trace
from adapter.demo.deployment import Deployment
from adapter.demo.fakes import Fakes
from adapter.demo.hpa import Autoscaler
from adapter.demo.load import Balancer
from adapter.demo.process import Child
from adapter.demo.query import Adapter
from adapter.demo.screen import Screen
from adapter.demo.watch import Watcher
from adapter.errors import StartupError
from adapter.model.hpa_policy import Policy

START_SECONDS = 60.0  # a busy machine takes its time to start four Pythons
LOOK_SECONDS = 1.0
# After the first pod is ready the adapter needs a look at its files, a frame and a tick.
GRACE_SECONDS = 5.0


class Options(msgspec.Struct, frozen=True):
    """What the command line chose."""

    for_seconds: float
    speed: float
    seed: int


class Summary(msgspec.Struct, frozen=True):
    """What the run measured; an age is None when nothing was ever answered."""

    replicas_min: int
    replicas_max: int
    queries: int
    query_errors: int
    queries_without_value: int
    sample_age_p99_seconds: float | None
    requests: int
    requests_served: int
    requests_failed: int
    seconds: float
    last_query_error: str | None


class _Over(Exception):
    """Ends all tasks of the show."""


async def play(
    options: Options, policy: Policy, fakes: Fakes, screen: Screen, stop: asyncio.Event
) -> Summary:
    """Run the demo until its time is over or `stop` is set; nothing of it is left afterwards.

    Raises an ExceptionGroup of StartupError when a part cannot start or ends by itself.
    """
    connector = aiohttp.TCPConnector(limit=0)
    with TemporaryDirectory(prefix="forescale-demo-") as folder:
        async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
            group = asyncio.TaskGroup()
            stage = Stage(
                options, policy, fakes=fakes, folder=Path(folder), session=session, group=group
            )
            try:
                async with group:
                    await stage.perform(screen, stop)
            except* _Over:
                pass
            finally:
                await stage.close()
            return stage.summary()


class Stage:
    """Owns the parts; all that runs is a task of the group."""

    def __init__(
        self,
        options: Options,
        policy: Policy,
        *,
        fakes: Fakes,
        folder: Path,
        session: aiohttp.ClientSession,
        group: asyncio.TaskGroup,
    ) -> None:
        self._options = options
        self._group = group
        self._fakes = fakes
        self._api_port, self._ops_port = _free_ports()
        self._child: Child | None = None
        self._ready_at: float | None = None
        self._seconds = 0.0
        name = policy.target.rpartition("/")[2]
        self.deployment = Deployment(
            name, fakes=fakes, folder=folder, session=session, group=group, seed=options.seed
        )
        self.adapter = Adapter(
            session,
            f"http://127.0.0.1:{self._api_port}",
            f"http://127.0.0.1:{self._ops_port}",
            self._may_be_blind,
        )
        self.balancer = Balancer(self.deployment.replicas, session)
        self.autoscaler = Autoscaler(
            policy, self.adapter, self.deployment.members, self.deployment.scale
        )
        self.watcher = Watcher(self.deployment, self.balancer, self.autoscaler, self.adapter)

    async def perform(self, screen: Screen, stop: asyncio.Event) -> None:
        """Start everything and show it until the time is over or `stop` is set; ends by _Over."""
        screen.say(f"watch it in a browser: {self.adapter.page}")
        screen.say("starting a model server, its sidecar and the adapter ...")
        self.deployment.scale(self.autoscaler.replicas)
        self._child = await self._start_adapter()
        await self._until(stop, self.adapter.ready, "the adapter was not ready")
        self._group.create_task(self.autoscaler.run())
        await self._until(stop, self._serving, "no pod was ready")
        counts = demo_trace.load()
        arrivals = demo_trace.arrivals(
            counts,
            start_seconds=demo_trace.START_SECONDS,
            speed=self._options.speed,
            seed=self._options.seed,
        )
        self._group.create_task(self.balancer.play(arrivals, self._group))
        await self._show(screen, stop)
        raise _Over

    async def close(self) -> None:
        """Stop the adapter; the pods have ended with their tasks."""
        if self._child is not None:
            await self._child.stop()
        self.deployment.close()

    def summary(self) -> Summary:
        """Return what was measured so far."""
        return Summary(
            replicas_min=self.autoscaler.lowest,
            replicas_max=self.autoscaler.highest,
            queries=self.adapter.queries,
            query_errors=self.adapter.errors,
            queries_without_value=self.adapter.without_value,
            sample_age_p99_seconds=self.watcher.age_p99_seconds,
            requests=self.balancer.sent,
            requests_served=self.balancer.served,
            requests_failed=self.balancer.failed,
            seconds=round(self._seconds, 1),
            last_query_error=self.adapter.last_error,
        )

    async def _start_adapter(self) -> Child:
        module = ["adapter", f"--standalone={self.deployment.pods_folder}"]
        module += ["--api-host=127.0.0.1", f"--api-port={self._api_port}"]
        module += ["--ops-host=127.0.0.1", f"--ops-port={self._ops_port}"]
        module += ["--intake-allow-loopback=true"]
        folder = self.deployment.logs_folder
        return await Child.start("adapter", module, root=self._fakes.root, folder=folder, env={})

    async def _until(
        self, stop: asyncio.Event, condition: Callable[[], Awaitable[bool]], words: str
    ) -> None:
        """Wait until the condition holds or it is time to stop; raise when it takes too long."""
        deadline = _now() + START_SECONDS
        while not stop.is_set() and not await condition():
            if self._child is not None:
                self._child.check()
            if _now() > deadline:
                raise StartupError(f"{words} within {START_SECONDS:g} s: is this machine busy?")
            await _pause(stop, 0.2)

    async def _serving(self) -> bool:
        found = any(replica.pod.serving for replica in self.deployment.replicas())
        self._ready_at = _now() if found else None
        return found

    async def _show(self, screen: Screen, stop: asyncio.Event) -> None:
        began = _now()
        total = self._options.for_seconds
        while not stop.is_set() and self._seconds < total:
            if self._child is not None:
                self._child.check()
            await self.watcher.look()
            self._seconds = _now() - began
            screen.show(
                self.watcher.scene(
                    now=_now(),
                    elapsed_seconds=self._seconds,
                    total_seconds=total,
                    speed=self._options.speed,
                )
            )
            await _pause(stop, min(LOOK_SECONDS, max(0.0, total - self._seconds)))

    def _may_be_blind(self) -> bool:
        """Whether the first pods are still loading, so that no value is the right answer."""
        return self._ready_at is None or _now() < self._ready_at + GRACE_SECONDS


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _free_ports() -> tuple[int, int]:
    """Return two ports of 127.0.0.1 that nobody listens on at the moment."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        return one.getsockname()[1], other.getsockname()[1]
