"""The ops port answers whoever connects, and one who connects too often shuts nobody out."""

from __future__ import annotations

import asyncio

import pytest

from adapter.api import query
from adapter.ops import server
from adapter.ops.probes import Probes
from adapter.ops.why import Why
from adapter.settings import Ops
from adapter.telemetry import Metrics

PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_connections_of_one_peer_are_bounded_and_come_free_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MAX_PER_PEER", 2)
    probes = Probes(read=lambda: None, now=lambda: 0.0, first_try_seconds=1.0)
    runner, port = await server.start(
        Ops("127.0.0.1", 0), probes, Metrics(), Why(lambda: None, query.choice)
    )
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        other, sending = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=("127.0.0.2", 0)
        )
        sending.write(PROBE)
        assert (await other.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")
        for _, mine in (*held, (other, sending)):
            mine.close()
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PROBE)
        assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")
        writer.close()
    await runner.cleanup()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_the_bare_address_leads_to_the_status_page() -> None:
    probes = Probes(read=lambda: None, now=lambda: 0.0, first_try_seconds=1.0)
    runner, port = await server.start(Ops("127.0.0.1", 0), probes, Metrics())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 302")
    assert b"Location: status\r\n" in head  # relative: behind a proxy's path it holds too
    writer.close()
    await runner.cleanup()
