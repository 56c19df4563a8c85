"""Owns the proof against a real Triton server: its queue is on its page, and we read it rightly."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from sidecar import engines
from sidecar.wire import EngineState
from tests.triton.install import InstallError, installed
from tests.triton.load import Load, load
from tests.triton.process import SHARED_MEMORY, TritonError, TritonServer
from tests.triton.server import shared_memory_prefix

ROOT = Path(__file__).parents[2]
CAPTURED = ROOT / "tests" / "sidecar" / "pages" / "triton_captured.txt"
HOST = "127.0.0.2"  # not the default, so that binding to it shows that the argument counts
SERVICE_TIME_SECONDS = 0.05
SAMPLE = re.compile(rb"^(?P<series>nv_[^ ]+) (?P<value>\S+)$", re.MULTILINE)
PENDING = 'nv_inference_pending_request_count{model="llm",version="1"}'
KILLED_RUN = """
import os, sys
from tests.triton.process import TritonServer
server = TritonServer.start(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
server.wait_ready()
print(server.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def triton() -> Iterator[TritonServer]:
    with TritonServer.start(HOST, *free_ports(), SERVICE_TIME_SECONDS) as server:
        server.wait_ready()
        yield server


def free_ports() -> tuple[int, int]:
    with socket.create_server((HOST, 0)) as http, socket.create_server((HOST, 0)) as metrics:
        return http.getsockname()[1], metrics.getsockname()[1]


def series(page: bytes) -> dict[str, float]:
    return {match["series"].decode(): float(match["value"]) for match in SAMPLE.finditer(page)}


async def fetch(url: str) -> bytes:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


@contextlib.asynccontextmanager
async def under_load(triton: TritonServer, seconds: float) -> AsyncIterator[asyncio.Task[Load]]:
    task = asyncio.create_task(load(triton.url, concurrent=20, seconds=seconds))
    try:
        yield task
    finally:
        await task


async def page_with_pending(url: str, at_least: float, at_most: float) -> bytes:
    give_up = time.monotonic() + 10
    while True:
        page = await fetch(url)
        if at_least <= series(page)[PENDING] <= at_most:
            return page
        assert time.monotonic() < give_up, f"{PENDING} stays at {series(page)[PENDING]}"
        await asyncio.sleep(0.02)


def leftovers(pid: int) -> list[str]:
    """Return what remains of the server whose leader was `pid`: processes and shared memory."""
    segments = [path.name for path in SHARED_MEMORY.glob(f"{shared_memory_prefix(pid)}*")]
    # The server leads its own session, which is the fourth field after the name.
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session, *_ = stat.read_text().rsplit(")", 1)[1].split()
            if int(session) == pid and state != "Z":
                segments.append(f"process {stat.parent.name}")
    return segments


async def test_all_but_the_running_one_of_twenty_requests_are_pending_and_then_none(
    triton: TritonServer,
) -> None:
    async with under_load(triton, seconds=1.0) as task:
        await page_with_pending(triton.metrics_url, 19, 19)
    result = task.result()
    assert result.failures == ()
    assert result.answered >= 1.0 / SERVICE_TIME_SECONDS / 2
    await page_with_pending(triton.metrics_url, 0, 0)


async def test_the_queue_falls_only_as_fast_as_the_model_serves_it(triton: TritonServer) -> None:
    async with under_load(triton, seconds=0.3) as task:
        await page_with_pending(triton.metrics_url, 15, 20)
    result = task.result()
    assert result.elapsed_seconds >= result.answered * SERVICE_TIME_SECONDS


async def test_the_engine_table_reads_the_real_page_of_a_loaded_server(
    triton: TritonServer,
) -> None:
    async with under_load(triton, seconds=0.5):
        page = await page_with_pending(triton.metrics_url, 6, 20)
    found = engines.parse(page)
    said = series(page)
    failures = [value for name, value in said.items() if "request_failure" in name]
    successes = [value for name, value in said.items() if "request_success" in name]
    assert found.problems == ()
    assert found.reading is not None
    assert found.reading.kind == "triton"
    assert found.reading.state is EngineState.READY
    assert found.reading.pending == said[PENDING]
    assert found.reading.running is None
    assert found.reading.finished_total == sum(successes) + sum(failures) > 0
    assert found.reading.dims == {"model": "llm"}


async def test_the_engine_table_reads_a_pending_count_of_zero_as_zero(
    triton: TritonServer,
) -> None:
    found = engines.parse(await page_with_pending(triton.metrics_url, 0, 0))
    assert found.reading is not None
    assert found.reading.pending == 0.0


async def test_the_captured_page_has_the_names_and_labels_of_the_real_one(
    triton: TritonServer,
) -> None:
    assert set(series(CAPTURED.read_bytes())) == set(series(await fetch(triton.metrics_url)))


def test_the_engine_table_reads_the_captured_page() -> None:
    found = engines.parse(CAPTURED.read_bytes())
    assert found.problems == ()
    assert found.reading is not None
    assert (found.reading.kind, found.reading.pending) == ("triton", 19.0)


@pytest.mark.parametrize("port_name", ["http_port", "metrics_port"])
def test_the_server_binds_the_given_address_only(triton: TritonServer, port_name: str) -> None:
    port = getattr(triton, port_name)
    socket.create_connection((HOST, port), timeout=2).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def test_stopping_leaves_no_process_no_shared_memory_and_no_open_port() -> None:
    server = TritonServer.start(HOST, *free_ports())
    server.wait_ready()
    assert len(leftovers(server.pid)) >= 3, "the server, its backend and a segment were expected"
    assert server.stop() == 0
    assert leftovers(server.pid) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, server.metrics_port), timeout=2)
    assert server.stop() == 0


async def test_stopping_ends_a_model_that_is_stuck_in_a_request() -> None:
    with TritonServer.start(HOST, *free_ports(), service_time_seconds=3600) as server:
        server.wait_ready()
        stuck = await load(server.url, concurrent=1, seconds=0.1, request_timeout_seconds=0.2)
        assert stuck.failures == ("TimeoutError",)
        assert await asyncio.to_thread(server.stop) != 0
        assert leftovers(server.pid) == []


def test_a_killed_test_run_leaves_no_server_behind() -> None:
    ports = [str(port) for port in free_ports()]
    run = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, HOST, *ports],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    pid = int(run.stdout)
    give_up = time.monotonic() + 10
    while leftovers(pid) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert leftovers(pid) == []


def test_a_taken_port_is_an_error_that_shows_what_the_server_said() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        server = TritonServer.start(HOST, port, free_ports()[1])
        with server, pytest.raises(TritonError, match=f"{port}' already in use"):
            server.wait_ready()


def test_a_missing_installation_is_an_error_that_names_the_line_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InstallError, match=r"make triton$"):
        TritonServer.start(HOST, *free_ports())


def test_an_unfinished_installation_counts_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = installed()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "forescale" / "triton" / there.name / "bin").mkdir(parents=True)
    with pytest.raises(InstallError, match=r"make triton$"):
        installed()
