"""Owns the proof that of the kernel's connections those at the server's port alone are counted."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import connections, fetch
from sidecar.connections import Connections
from sidecar.modelserver import EngineRead, ModelServer
from sidecar.settings import SettingsError, load
from sidecar.wire import EngineState

# Three connections to port 11434 (0x2CAA), one of them the client's end, one closing; a listener
# with two that wait to be accepted; one connection of another port; a header.
TABLE = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:2CAA 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000
   1: 0100007F:2CAA 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000
   2: 0100007F:2CAA 0100007F:D432 01 00000000:00000000 00:00000000 00000000  1000
   3: 0100007F:D431 0100007F:2CAA 01 00000000:00000000 00:00000000 00000000  1000
   4: 0100007F:2CAA 0100007F:D433 06 00000000:00000000 03:00000000 00000000     0
   5: 0100007F:1F90 0100007F:D434 01 00000000:00000000 00:00000000 00000000  1000
"""


async def read(*argv: str) -> EngineRead:
    async with fetch.session(1) as http:
        return await ModelServer(load(argv, {}, "0").settings, http).read()


def test_established_ones_at_the_servers_own_end_count() -> None:
    assert connections.parse(TABLE, 11434) == Connections(established=2, unaccepted=2)


def test_without_a_listener_nothing_is_known() -> None:
    assert connections.parse(TABLE, 8080) == Connections(None)


def test_a_kernel_without_a_table_is_an_error_and_one_without_ipv6_is_none(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    with pytest.raises(FileNotFoundError, match="shows no table"):
        connections.read(11434, (table,))
    table.write_bytes(TABLE)
    assert connections.read(11434, (table, tmp_path / "tcp6")).established == 2


@given(st.binary(max_size=300))
def test_nothing_in_a_table_makes_it_raise_but_a_number_that_is_none(noise: bytes) -> None:
    found = connections.parse(TABLE + noise.replace(b"0A", b""), 11434)
    assert found.established is not None
    assert found.established >= 2


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_real_connections_beyond_the_slots_are_the_estimated_queue(
    family: socket.AddressFamily,
) -> None:
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with ExitStack() as open_ones:
        listener = open_ones.enter_context(socket.create_server((host, 0), family=family))
        port = listener.getsockname()[1]
        for _ in range(5):
            open_ones.enter_context(socket.create_connection((host, port)))
            open_ones.enter_context(listener.accept()[0])
        found = await read(
            "--engine", "connections", "--engine-port", str(port), "--engine-slots", "2"
        )
    reading = found.reading
    assert (reading.kind, reading.state) == ("connections", EngineState.READY)
    assert (reading.pending, reading.running) == (3.0, 2.0)
    assert reading.estimate is not None
    assert reading.estimate.startswith(f"connections to port {port}, of which 2 ")
    assert found.taken_at is not None


async def test_a_port_that_nothing_listens_at_is_loading(free_port: int) -> None:
    found = await read("--engine", "connections", "--engine-port", str(free_port))
    assert (found.reading.state, found.failure) == (EngineState.LOADING, "no_server")
    assert found.reading.pending is None


async def test_connections_that_the_server_has_not_taken_yet_are_counted_once() -> None:
    with ExitStack() as open_ones:
        listener = open_ones.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16))
        port = listener.getsockname()[1]
        for _ in range(5):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
        open_ones.enter_context(listener.accept()[0])
        found = await read(
            "--engine", "connections", "--engine-port", str(port), "--engine-slots", "2"
        )
    assert (found.reading.pending, found.reading.running) == (4.0, 1.0)


def test_ollama_has_its_port_and_others_must_name_theirs() -> None:
    assert load(["--engine", "ollama"], {}, "0").settings.engine_port == 11434
    for argv, why in (
        (["--engine", "connections"], "--engine-port: --engine connections needs the port"),
        (
            ["--engine", "vllm", "--engine-port", "1"],
            "--engine-port: has a meaning only with --engine connections or ollama",
        ),
        (["--engine-slots", "0"], "--engine-slots: '0' is no count"),
    ):
        with pytest.raises(SettingsError) as caught:
            load(argv, {}, "0")
        assert [said[: len(why)] for said in caught.value.problems] == [why]
