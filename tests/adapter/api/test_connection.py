"""A stranger's connection costs little and not for long, and never an answer to kube-apiserver."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapter.api import connection as module
from adapter.api import server
from adapter.listen import Gate
from tests.adapter.api.serving import METRIC, Serving

OK = b"HTTP/1.1 200"
PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    async with Serving(tmp_path) as running:
        yield running


async def closed_after(reader: asyncio.StreamReader) -> float:
    began = time.monotonic()
    async with asyncio.timeout(10):
        while await reader.read(65_536):
            pass
    return time.monotonic() - began


async def test_a_connection_that_says_nothing_is_closed(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.3)
    reader, writer = await serving.connected()
    assert 0.1 < await closed_after(reader) < 1.5
    writer.close()


async def test_a_head_that_comes_byte_by_byte_is_closed(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.4)
    reader, writer = await serving.connected()

    async def trickle() -> None:
        writer.write(b"GET /livez HTTP/1.1\r\n")
        while True:
            writer.write(b"X-A: b\r\n")
            await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    assert await closed_after(reader) < 2.0
    trickling.cancel()
    writer.close()


async def test_an_idle_connection_between_requests_is_kept(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)
    reader, writer = await serving.connected()
    for _ in range(3):
        writer.write(PROBE[:20])
        await asyncio.sleep(0.02)
        writer.write(PROBE[20:])
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\nok")).startswith(OK)
        await asyncio.sleep(0.3)
    writer.close()


async def test_requests_may_be_sent_ahead(serving: Serving) -> None:
    reader, writer = await serving.connected()
    writer.write(PROBE * 10)
    async with asyncio.timeout(5):
        for _ in range(10):
            assert (await reader.readuntil(b"\r\n\r\nok")).startswith(OK)
    writer.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 10_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00" * 100,
        b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
        PROBE[:-2] + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nA\x00B: c\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n folded: a\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
    ids=lambda value: repr(value[:40]),
)
async def test_what_is_no_request_ends_the_connection_and_nothing_else(
    serving: Serving, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        answer = await serving.raw(request_bytes)
    except ConnectionError:
        answer = b""
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] in (b"400", b"401", b"408", b"431")
        assert json.loads(body)["kind"] == "Status"
    assert (await serving.ask("/livez"))[0] == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_bodies_are_not_waited_for(serving: Serving) -> None:
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc"
    began = time.monotonic()
    answer = await serving.raw(request % METRIC.encode(), client=serving.proxy)
    assert answer.split()[1] == b"401"
    assert time.monotonic() - began < 2.0


async def test_a_client_that_does_not_take_its_answer_is_dropped(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.3)
    serving.apiserver.allows = lambda _: True
    request = b"GET %b HTTP/1.1\r\nHost: x\r\nX-Remote-User: a\r\n\r\n"
    path = b"/apis/custom.metrics.k8s.io/v1beta2"
    reader, writer = await serving.connected(serving.proxy)
    transport = writer.transport
    transport.pause_reading()
    writer.write(request % path * 20_000)
    server = serving.server._runner.server
    assert server is not None
    async with asyncio.timeout(20):
        while server.connections:
            await asyncio.sleep(0.05)
    transport.abort()
    del reader


async def test_connections_of_one_peer_are_bounded_and_come_free_again(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 30.0)
    opened = [await serving.connected() for _ in range(module.MAX_PER_PEER)]
    reader, writer = await serving.connected()
    assert await closed_after(reader) < 1.0
    writer.close()
    for _, other in opened:
        other.close()
    await asyncio.sleep(0.2)
    assert (await serving.ask("/livez"))[0] == 200


async def test_strangers_cannot_take_the_places_of_kube_apiserver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "Gate", lambda *_: Gate(limit=4, per_peer=4, reserved=1))
    async with Serving(tmp_path) as serving:
        serving.apiserver.allows = lambda _: True
        opened = []
        for _ in range(3):
            reader, writer = await serving.connected()
            writer.write(PROBE)
            async with asyncio.timeout(5):
                assert (await reader.readuntil(b"\r\n\r\nok")).startswith(OK)
            opened.append(writer)
        reader, writer = await serving.connected()
        assert await closed_after(reader) < 1.0
        assert (await serving.proxied("hpa"))[0] == 200
        for other in (*opened, writer):
            other.close()
