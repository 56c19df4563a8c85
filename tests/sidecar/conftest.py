"""Owns what several sidecar tests start: fake GPUs in the environment, servers of bad pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.controlplane.processes import free_ports
from tests.fakes import bad_pages
from tests.fakes.nvml import FakeGpus


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    """Return two scripted GPUs that every process started from here on will see."""
    fake = FakeGpus(tmp_path, count=2)
    for name, value in fake.env().items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.fixture
async def faults() -> AsyncIterator[str]:
    """Serve the bad pages; return the server's URL without a path."""
    bad_pages._packed()  # takes a second on a busy machine, which is no answer's time
    server = TestServer(bad_pages.application())
    await server.start_server(shutdown_timeout=0.1)
    yield str(server.make_url("")).rstrip("/")
    await server.close()


@pytest.fixture
def free_port() -> int:
    """Return a port that nothing listens on."""
    return free_ports(1)[0]


async def until(seen: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> float:
    """Poll until true and return how long it took; fail at the deadline."""
    began = time.monotonic()
    while not await seen():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - began
