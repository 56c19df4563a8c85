"""Probes: alive is a loop that ticks, ready is a pod list and tried streams, never metrics."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import ClientSession

from adapter.model.snapshot import Snapshot
from adapter.ops import server
from adapter.ops.probes import DEAD_AFTER_SECONDS, Probes
from adapter.settings import Ops
from adapter.telemetry import Metrics
from tests.adapter.model.world import START, World


@dataclass
class State:
    """What the probes look at, set by the test."""

    now: float = START
    synced: bool = False
    tried: bool = False
    api: bool = True
    snapshot: Snapshot | None = field(default_factory=lambda: World().advance())

    def probes(self) -> Probes:
        return Probes(
            read=lambda: self.snapshot,
            now=lambda: self.now,
            synced=lambda: self.synced,
            tried=lambda: self.tried,
            api_ready=lambda: self.api,
            first_try_seconds=15.0,
        )


def passed(probes: Probes) -> bool:
    return all(check.passed for check in probes.ready())


def test_alive_until_the_loop_stands_still() -> None:
    state = State()
    probes = state.probes()
    assert all(check.passed for check in probes.live())
    state.now += DEAD_AFTER_SECONDS + 1.5
    assert not all(check.passed for check in probes.live())


def test_not_ready_before_the_pod_list_came_however_long_it_takes() -> None:
    state = State()
    probes = state.probes()
    state.now += 1000
    assert not passed(probes)


def test_ready_as_soon_as_every_stream_was_tried() -> None:
    state = State(now=START, synced=True)
    probes = state.probes()
    assert not passed(probes)
    state.tried = True
    assert passed(probes)


def test_ready_without_the_streams_after_the_limit() -> None:
    state = State(now=START, synced=True)
    probes = state.probes()
    assert not passed(probes)
    state.now += 15
    assert passed(probes)


def test_once_warm_it_stays_ready_without_pods_or_metrics() -> None:
    state = State(now=START, synced=True, tried=True)
    probes = state.probes()
    assert passed(probes)
    state.tried = False
    assert passed(probes)


def test_not_ready_while_stopping_or_while_the_api_does_not_listen() -> None:
    state = State(now=START, synced=True, tried=True)
    probes = state.probes()
    state.api = False
    assert not passed(probes)
    state.api = True
    probes.stopping = True
    assert not passed(probes)


async def test_the_ops_port_answers_probes_and_metrics() -> None:
    state = State(now=START, synced=True, tried=False)
    runner, port = await server.start(Ops("127.0.0.1", 0), state.probes(), Metrics())
    async with asyncio.timeout(5), ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/livez") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        async with session.get("/readyz") as answer:
            assert answer.status == 503
            assert "[-]streams: still waiting" in await answer.text()
        async with session.get("/metrics") as answer:
            assert "forescale_adapter_build_info" in await answer.text()
    await runner.cleanup()
