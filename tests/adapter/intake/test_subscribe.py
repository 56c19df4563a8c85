"""Subscriptions against real HTTP servers on loopback: what is opened, retried and closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from msgspec import structs

from adapter.intake.subscribe import Subscriber
from adapter.model.fleet import Fleet
from adapter.settings import Intake
from adapter.telemetry import Metrics
from tests.adapter.intake.streaming import (
    SETTINGS,
    Server,
    Write,
    collect,
    line,
    only,
    pod,
    serving,
    trouble_of,
)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made


async def test_frames_become_readings_in_order(server: Server) -> None:
    async def script(write: Write) -> None:
        for seq in range(3):
            await write(line(seq))
        await asyncio.sleep(1)

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        assert not subscriber.tried()
        batch = await collect(subscriber, lambda b: len(b.readings) == 3)
        assert subscriber.tried()
    assert [r.points[0].value for r in batch.readings] == [0.0, 1.0, 2.0]


async def test_an_ended_stream_is_opened_again(server: Server) -> None:
    async def script(write: Write) -> None:
        await write(line(server.connections))

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: len(b.readings) >= 2)
    assert "ended the stream" in batch.troubles["u1"]
    assert server.connections >= 2


async def test_a_closed_port_is_told_in_words() -> None:
    assert "nothing listens at " in await trouble_of(only(pod(1)))


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1"]
)
async def test_an_address_of_the_host_is_never_asked(server: Server, ip: str) -> None:
    words = await trouble_of(only(pod(server.port, ip=ip)), Intake())
    assert "no address of a pod" in words
    assert server.connections == 0


async def test_a_pod_without_the_port_is_told_and_not_asked(server: Server) -> None:
    assert "named `forescale`" in await trouble_of(only(pod(None)))
    assert server.connections == 0


async def test_the_stream_of_a_gone_pod_is_closed(server: Server) -> None:
    closed = asyncio.Event()

    async def script(write: Write) -> None:
        try:
            for seq in range(100):
                await write(line(seq))
                await asyncio.sleep(0.05)
        finally:
            closed.set()

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        await collect(subscriber, lambda b: bool(b.readings))
        subscriber.follow(Fleet.of([], version=2))
        async with asyncio.timeout(3):
            await closed.wait()
        assert subscriber.tried()
    assert server.connections == 1


async def test_a_source_that_is_described_wrongly_is_told_and_not_asked(server: Server) -> None:
    found = pod(server.port, source_problem="use sidecar, scrape or node")
    assert await trouble_of(only(found)) == "use sidecar, scrape or node"
    assert server.connections == 0


async def test_hostile_streams_beside_it_cost_a_good_one_no_frame() -> None:
    async def flood(write: Write) -> None:
        for seq in range(5_000):
            await write(line(seq))

    async def endless(write: Write) -> None:
        while True:
            await write(b"x" * 65_536)

    async def nested(write: Write) -> None:
        deep = b"[" * 50_000 + b"]" * 50_000
        while True:
            await write(line(1).replace(b'"seq":1', b'"seq":1,"later":' + deep))

    async def good(write: Write) -> None:
        for seq in range(40):
            await write(line(seq, uid="good"))
            await asyncio.sleep(0.05)

    async with AsyncExitStack() as stack:
        pods = []
        for script in (flood, endless, nested, good):
            server = await stack.enter_async_context(serving())
            server.script = script
            hostile = range(1 if script is good else 4)
            pods += [
                pod(server.port, uid="good" if script is good else f"u{len(pods) + n}", name="p")
                for n in hostile
            ]
        # A second connection would begin anew: no deadline of the good stream may pass beside load.
        patient = structs.replace(SETTINGS, connect_seconds=10.0, silence_seconds=10.0)
        subscriber = await stack.enter_async_context(Subscriber(patient, Metrics()))
        subscriber.follow(only(pods[0]).of(pods, 1))
        batch = await collect(
            subscriber, lambda b: sum(reading.uid == "good" for reading in b.readings) >= 40, 30.0
        )
    heard = [reading.points[0].value for reading in batch.readings if reading.uid == "good"]
    assert heard == [float(seq) for seq in range(40)]
    assert {one.uid for one in pods} - {"good"} <= {*batch.troubles}
    assert "good" not in batch.troubles
