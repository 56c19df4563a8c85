"""The events reach all who watch, are no burden by those who do not read, and have an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientResponse, ClientSession

from adapter.ops import events
from tests.adapter.ops.statuspage import Scene, busy
from tests.adapter.ops.test_page import PAYLOADS


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene(busy("a")).serving() as made, asyncio.timeout(20):
        await made.look(20)
        yield made


async def frame(answer: ClientResponse) -> dict[str, object]:
    """Return the next board."""
    while not (line := await answer.content.readline()).startswith(b"data: "):
        assert line, "the stream has ended"
    found: dict[str, object] = json.loads(line.removeprefix(b"data: "))
    return found


async def test_a_viewer_gets_the_board_at_once_and_after_each_look(scene: Scene) -> None:
    async with ClientSession(scene.url) as session, session.get("/status/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        first = await frame(answer)
        assert first["summary"] == (
            "The adapter is not ready: started. Pods of 1 workload:"
            " 1 served, 0 held, 0 loading, 1 omitted."
        )
        scene.world.pods.pop("quiet")
        await scene.look()
        assert "1 served, 0 held, 0 loading, 0 omitted" in str((await frame(answer))["summary"])


async def test_a_text_with_lines_of_its_own_stays_one_event(scene: Scene) -> None:
    scene.status.certificates = lambda: dict.fromkeys(PAYLOADS, "x\r\n\r\ndata: {}\n\nevent: y\n")
    await scene.look()
    async with ClientSession(scene.url) as session, session.get("/status/events") as answer:
        told = await frame(answer)
        assert await answer.content.readline() == b"\n"
    assert isinstance(told["tables"], list)
    cells = {cells[0][0] for cells in told["tables"][-1]["rows"]}
    assert len(cells) == len(PAYLOADS)


async def test_viewers_beyond_the_bound_are_told_so_and_places_come_free_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_PER_PEER", 2)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession(scene.url))
        watching = [await session.get("/status/events") for _ in range(2)]
        async with session.get("/status/events") as answer:
            assert answer.status == 503
            assert await answer.text() == "2 people watch already, 2 from your address"
        monkeypatch.setattr(events, "MAX_PER_PEER", 8)
        monkeypatch.setattr(events, "MAX_VIEWERS", 2)
        async with session.get("/status/events") as answer:
            assert answer.status == 503
        watching[0].close()
        while scene.status.events.viewers == 2:
            await scene.look()
            await asyncio.sleep(0.01)
        async with session.get("/status/events") as answer:
            assert answer.status == 200
        watching[1].close()


async def test_who_does_not_read_is_let_go(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "WRITE_SECONDS", 0.1)
    scene.status.certificates = lambda: {f"{n}": "x" * 300 for n in range(1000)}
    reader, writer = await asyncio.open_connection("127.0.0.1", int(scene.url.rpartition(":")[2]))
    writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport has it
    writer.write(b"GET /status/events HTTP/1.1\r\nHost: x\r\n\r\n")
    while not scene.status.events.viewers:
        await asyncio.sleep(0.01)
    while scene.status.events.viewers:
        await scene.look()
        await asyncio.sleep(0.01)
    writer.close()
    assert reader.exception() is None


async def test_a_stream_ends_after_a_while_and_all_do_when_the_adapter_stops(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ClientSession(scene.url) as session:
        monkeypatch.setattr(events, "LIFE_SECONDS", 0.1)
        async with session.get("/status/events") as answer:
            assert (await answer.read()).endswith(b"\n\n")
        monkeypatch.setattr(events, "LIFE_SECONDS", 900.0)
        async with session.get("/status/events") as answer:
            await frame(answer)
            running = asyncio.create_task(scene.status.run())
            await frame(answer)
            running.cancel()
            assert b"data: " not in await answer.read()
        async with session.get("/status/events") as answer:
            assert answer.status == 503
