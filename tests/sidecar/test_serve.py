"""Owns the proof of the HTTP face: what each path answers, and how streams begin, lag and end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sidecar import fetch, serve, wire
from sidecar.attribute import claim
from sidecar.gpu import Gpus
from sidecar.modelserver import ModelServer
from sidecar.poll import Periods, Poller
from sidecar.sample import Identity
from sidecar.settings import load
from sidecar.streams import (
    MAX_QUEUED,
    MAX_STREAMS,
    MAX_STREAMS_PER_PEER,
    SEND_BUFFER_BYTES,
    Streams,
)
from sidecar.telemetry import Telemetry
from tests.sidecar.conftest import until

Client = TestClient[web.Request, web.Application]


@dataclass
class Face:
    client: Client
    streams: Streams
    telemetry: Telemetry


@pytest.fixture
async def face() -> AsyncIterator[Face]:
    argv = ["--engine", "none"]
    async with fetch.session(1.0) as http:
        poller = Poller(
            identity=Identity("boot", "uid-1", 2.0, time.monotonic()),
            periods=Periods(1.0, 2.0, 2.0),
            server=ModelServer(load(argv, {}, "0").settings, http),
            gpus=Gpus(1.0),
            proven=lambda: claim((), None),
        )
        telemetry = Telemetry("1.2.3", poller.frame)
        streams = Streams(telemetry)
        app = serve.application(poller, streams, telemetry)

        async def fault(_: web.Request) -> web.Response:
            raise ValueError("secret of the inside")

        app.router.add_get("/fault", fault)
        async with TestClient(TestServer(app)) as client:
            yield Face(client, streams, telemetry)


async def line(answer: aiohttp.ClientResponse) -> bytes:
    return await asyncio.wait_for(answer.content.readline(), 5)


async def test_a_stream_begins_with_who_it_is_and_goes_on_with_what_is_published(
    face: Face,
) -> None:
    async with face.client.get("/v1/stream") as answer:
        assert answer.content_type == "application/x-ndjson"
        first = wire.decode(await line(answer))
        assert (first.boot, first.uid) == ("boot", "uid-1")
        assert first.phases is not None
        face.streams.publish(b"one\n")
        assert await line(answer) == b"one\n"
        face.streams.publish(b"two\n")
        assert await line(answer) == b"two\n"


async def test_closing_ends_every_stream_cleanly_after_what_is_queued(face: Face) -> None:
    async with face.client.get("/v1/stream") as answer:
        await line(answer)
        face.streams.publish(b"last\n")
        face.streams.close()
        assert await asyncio.wait_for(answer.content.read(), 5) == b"last\n"


async def test_one_address_has_a_few_streams_and_the_next_is_refused_in_words(
    face: Face,
) -> None:
    answers = [await face.client.get("/v1/stream") for _ in range(MAX_STREAMS_PER_PEER)]
    async with face.client.get("/v1/stream") as refused:
        assert refused.status == 503
        assert f"this address has {MAX_STREAMS_PER_PEER} streams" in (await refused.json())["error"]
    for answer in answers:
        answer.close()

    async def open_again() -> bool:
        async with face.client.get("/v1/stream") as answer:
            return answer.status == 200

    await until(open_again)


@asynccontextmanager
async def at(face: Face, address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client that has this address of the loopback network."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0, force_close=True)
    url = face.client.make_url("/")
    async with aiohttp.ClientSession(base_url=url, connector=connector) as http:
        yield http


async def test_idle_readers_cannot_keep_another_address_out(face: Face) -> None:
    async with AsyncExitStack() as stack:
        idle = []
        for address in ("127.0.0.2", "127.0.0.3"):
            idle += await opened(stack, face, address, MAX_STREAMS_PER_PEER)
        assert len(idle) == MAX_STREAMS
        (adapter,) = await opened(stack, face, "127.0.0.6", 1)
        await line(adapter)
        with pytest.raises(aiohttp.ClientError):  # the oldest one of those with most is cut
            await asyncio.wait_for(idle[0].content.read(), 5)
        face.streams.publish(b"x\n")
        assert await line(adapter) == b"x\n"
        for one in idle[1:]:
            await line(one)
            assert await line(one) == b"x\n"
    page = face.telemetry.exposition().decode()
    assert "forescale_sidecar_streams_dropped_total 1.0" in page


async def test_the_address_with_most_streams_gives_one_up(face: Face) -> None:
    async with AsyncExitStack() as stack:
        (adapter,) = await opened(stack, face, "127.0.0.2", 1)
        for number in range(3, 8):
            await opened(stack, face, f"127.0.0.{number}", MAX_STREAMS_PER_PEER)
        await line(adapter)
        face.streams.publish(b"x\n")
        assert await line(adapter) == b"x\n"  # the oldest of all, and its address's only one


async def opened(
    stack: AsyncExitStack, face: Face, address: str, count: int
) -> list[aiohttp.ClientResponse]:
    """Open streams from this address of the loopback network."""
    http = await stack.enter_async_context(at(face, address))
    streams = [await stack.enter_async_context(http.get("/v1/stream")) for _ in range(count)]
    assert [one.status for one in streams] == [200] * count
    return streams


async def test_a_reader_that_does_not_read_is_dropped_and_the_others_go_on(face: Face) -> None:
    host, port = face.client.server.host, face.client.server.port
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(stalled, (host, port))
    await loop.sock_sendall(stalled, b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    async with face.client.get("/v1/stream") as answer:
        await line(answer)

        async def both_open() -> bool:
            return len(face.streams._open) == 2

        await until(both_open)
        frame = b"x" * 8192 + b"\n"
        sent = 0
        while len(face.streams._open) == 2:
            face.streams.publish(frame)
            assert await line(answer) == frame
            sent += len(frame)
            assert sent < 4 * SEND_BUFFER_BYTES + 16 * MAX_QUEUED * len(frame)
        assert face.telemetry.streams_dropped._value.get() == 1
    stalled.close()


async def test_a_sample_is_one_frame(face: Face) -> None:
    async with face.client.get("/v1/sample") as answer:
        assert answer.content_type == "application/json"
        assert wire.decode(await answer.read()).uid == "uid-1"


async def test_metrics_are_prometheus_text(face: Face) -> None:
    async with face.client.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        (build,) = re.findall(r"forescale_sidecar_build_info{(.*)} 1.0", await answer.text())
        assert 'version="1.2.3"' in build


async def test_livez_is_ok_before_anything_was_read(face: Face) -> None:
    async with face.client.get("/livez") as answer:
        assert (answer.status, await answer.text()) == (200, "ok\n")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/streams", "/../metrics/x", "/%2e%2e"])
async def test_an_unknown_path_is_404_json_that_names_the_known_ones(face: Face, path: str) -> None:
    async with face.client.get(path) as answer:
        assert answer.status == 404
        assert (await answer.json())["paths"] == list(serve.PATHS)


async def test_another_method_is_405_json(face: Face) -> None:
    async with face.client.post("/v1/sample", data=b"x") as answer:
        assert answer.status == 405
        assert answer.content_type == "application/json"


async def test_a_fault_of_ours_tells_a_client_nothing_of_the_inside(face: Face) -> None:
    async with face.client.get("/fault") as answer:
        text = await answer.text()
    assert answer.status == 500
    assert json.loads(text) == {"error": "the sidecar failed; see its log"}


def test_a_port_in_use_is_said_with_the_fix(free_port: int) -> None:
    with serve.listen("127.0.0.1", free_port), pytest.raises(serve.ListenError) as caught:
        serve.listen("127.0.0.1", free_port)
    said = f"cannot listen on 127.0.0.1:{free_port}: another process uses it; choose another --port"
    assert str(caught.value) == said


def test_an_address_that_no_interface_has_is_said_with_the_fix(free_port: int) -> None:
    with pytest.raises(serve.ListenError, match="choose another --host"):
        serve.listen("203.0.113.7", free_port)


def test_the_any_address_takes_ipv4_and_ipv6(free_port: int) -> None:
    with serve.listen("::", free_port):
        socket.create_connection(("127.0.0.1", free_port), 1).close()


def test_where_ipv6_is_off_the_any_address_is_ipv4s(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = socket.create_server

    def without_ipv6(address: tuple[str, int], **options: int) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return create(address, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    with serve.listen("::", free_port) as listener:
        assert listener.getsockname() == ("0.0.0.0", free_port)
