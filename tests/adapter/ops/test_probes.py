"""Probes: alive is a loop that ticks, ready is a pod list and tried streams, never metrics."""

import asyncio
from dataclasses import dataclass, field, replace

from aiohttp import ClientSession

from adapter.api import query
from adapter.model.snapshot import Snapshot
from adapter.ops import server
from adapter.ops.probes import DEAD_AFTER_SECONDS, Parts, Probes
from adapter.ops.why import Why
from adapter.settings import Ops
from adapter.telemetry import Metrics
from tests.adapter.model.world import START, World


@dataclass
class State:
    """What the probes look at, set by the test."""

    now: float = START + 1.0  # the moment of the first snapshot
    synced: bool = False
    tried: bool = False
    api: bool = True
    states: dict[str, str] = field(default_factory=dict)
    snapshot: Snapshot | None = field(default_factory=lambda: World().advance())

    def tick(self) -> None:
        """Let a second pass, in which the loop ticked."""
        assert self.snapshot is not None
        self.now += 1.0
        self.snapshot = replace(self.snapshot, at=self.now)

    def warm(self) -> Probes:
        """Ready: the pods are listed, the streams were tried, and a tick knows it."""
        self.synced = self.tried = True
        probes = self.probes()
        assert not passed(probes)
        self.tick()
        assert not passed(probes)
        self.tick()
        assert passed(probes)
        return probes

    def probes(self) -> Probes:
        probes = self.young()
        probes.parts = Parts(
            synced=lambda: self.synced,
            tried=lambda: self.tried,
            api_ready=lambda: self.api,
            states=lambda: self.states,
        )
        return probes

    def young(self) -> Probes:
        """Before the parts that readiness looks at are built."""
        return Probes(read=lambda: self.snapshot, now=lambda: self.now, first_try_seconds=15.0)


def passed(probes: Probes) -> bool:
    return all(check.passed for check in probes.ready())


def test_alive_until_the_loop_stands_still() -> None:
    state = State()
    probes = state.probes()
    assert all(check.passed for check in probes.live())
    state.now += DEAD_AFTER_SECONDS + 1.5
    assert not all(check.passed for check in probes.live())


def test_alive_for_a_moment_without_a_tick_and_then_not() -> None:
    state = State(snapshot=None)
    probes = state.young()
    assert all(check.passed for check in probes.live())
    state.now += DEAD_AFTER_SECONDS
    assert not all(check.passed for check in probes.live())


def test_before_its_parts_are_there_it_is_alive_and_says_what_it_waits_for() -> None:
    probes = State().young()
    probes.waiting_for = "the CA"
    assert all(check.passed for check in probes.live())
    assert [c.words for c in probes.ready() if not c.passed] == ["waits for the CA"]


def test_not_ready_before_the_pod_list_came_however_long_it_takes() -> None:
    state = State()
    probes = state.probes()
    state.now += 1000
    assert not passed(probes)


def test_ready_with_the_tick_after_every_stream_was_tried() -> None:
    state = State(synced=True)
    probes = state.probes()
    for _ in range(3):
        assert not passed(probes)
        state.tick()
    state.tried = True
    assert not passed(probes)
    state.tick()
    assert passed(probes)


def test_ready_without_the_streams_after_the_limit() -> None:
    state = State(synced=True)
    probes = state.probes()
    assert not passed(probes)
    state.tick()
    assert not passed(probes)
    state.now += 15
    assert passed(probes)


def test_not_ready_after_the_limit_without_a_snapshot_that_knows_the_pods() -> None:
    state = State(now=START + 100, synced=True)
    probes = state.probes()
    assert not passed(probes)
    state.now += 15
    assert not passed(probes)


def test_once_warm_it_stays_ready_without_pods_or_metrics() -> None:
    state = State()
    probes = state.warm()
    state.tried = False
    assert passed(probes)


def test_not_ready_while_stopping_or_while_the_api_does_not_listen() -> None:
    state = State()
    probes = state.warm()
    state.api = False
    assert not passed(probes)
    state.api = True
    probes.stopping = True
    assert not passed(probes)


async def test_the_ops_port_answers_probes_and_metrics() -> None:
    state = State(now=START, synced=True, tried=False)
    runner, port = await server.start(
        Ops("127.0.0.1", 0), state.probes(), Metrics(), Why(lambda: state.snapshot, query.choice)
    )
    async with asyncio.timeout(5), ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/livez") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        async with session.get("/readyz") as answer:
            assert answer.status == 503
            assert "[-]streams: still waiting" in await answer.text()
        state.states["v1beta1.custom.metrics.k8s.io"] = "not made: somebody else has the group"
        state.tried = True
        async with session.get("/readyz?verbose") as answer:
            assert answer.status == 200
            assert "[+]v1beta1.custom.metrics.k8s.io: not made: somebody" in await answer.text()
        async with session.get("/metrics") as answer:
            assert "forescale_adapter_build_info" in await answer.text()
    await runner.cleanup()
