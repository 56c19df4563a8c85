"""The large fleet: so many streaming pods, and a real adapter process that reads them.

The pods come from a directory (`--standalone`), not from an API server: what is measured is what a
streaming pod costs. All addresses are loopback ones, in a network namespace of the bench's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import psutil

from bench import fleet, pods
from bench.pods import Sidecar
from tests.controlplane import netns
from tests.controlplane.processes import Process, free_ports

READY_SECONDS = 120.0
DESCRIPTORS = 65_536  # two processes hold a socket for each pod


class Large(msgspec.Struct, frozen=True):
    """A running adapter and where it answers."""

    process: Process
    api_port: int
    ops_port: int

    def processor_seconds(self) -> float:
        spent = psutil.Process(self.process.pid).cpu_times()
        return float(spent.user + spent.system)

    def resident_mib(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20

    async def metrics(self) -> str:
        """Return the page of the adapter's own metrics."""
        url = f"http://127.0.0.1:{self.ops_port}/metrics"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return await answer.text()


def enter(module: str) -> None:
    """Go on in a network namespace of its own. Raises NetworkError where none can be made."""
    if not netns.inside():
        netns.enter([sys.executable, "-m", module])


def planned(count: int, namespaces: int, port: int) -> list[Sidecar]:
    """Return so many pods, spread over the namespaces, each on a loopback address of its own."""
    return [
        pods.of(
            f"team-{number % namespaces:04d}",
            number,
            f"127.88.{number // 250}.{number % 250 + 1}",
            port,
            busy=number // namespaces % 2 == 0,
        )
        for number in range(count)
    ]


@asynccontextmanager
async def running(folder: Path, everyone: list[Sidecar]) -> AsyncIterator[Large]:
    """Start the fleet and the adapter; yields when every stream was tried."""
    allow_descriptors()
    environment = dict(os.environ)
    file = folder / "fleet.json"
    file.write_bytes(msgspec.json.encode(everyone))
    command = [sys.executable, "-m", "bench.lightfleet", str(file)]
    streaming = Process("fleet", command, folder / "fleet.log", environment=environment)
    api_port, ops_port = free_ports(2)
    command = [sys.executable, "-m", "adapter", f"--standalone={_written(folder, everyone)}"]
    command += ["--api-host=127.0.0.1", f"--api-port={api_port}", "--intake-allow-loopback=true"]
    command += ["--ops-host=127.0.0.1", f"--ops-port={ops_port}"]
    adapter = Process("adapter", command, folder / "adapter.log", environment=environment)
    try:
        streaming.start()
        while fleet.READY not in streaming.log.read_text():
            streaming.check()
            await asyncio.sleep(0.1)
        adapter.start()
        large = Large(adapter, api_port, ops_port)
        await all_stream(large, len(everyone))
        yield large
        adapter.check()
    finally:
        adapter.stop()
        streaming.stop()


def _written(folder: Path, everyone: list[Sidecar]) -> Path:
    """Write one List: thousands of files are looked at each second, which no cluster asks for."""
    directory = folder / "pods"
    directory.mkdir()
    listed = {"kind": "List", "items": [pods.as_json(pod) for pod in everyone]}
    (directory / "pods.json").write_text(json.dumps(listed))
    return directory


def allow_descriptors() -> None:
    """Let this process and those it starts hold a socket for each pod."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(DESCRIPTORS, hard)), hard))


async def all_stream(large: Large, count: int) -> None:
    """Return when each pod is served. Raises TimeoutError."""
    deadline = time.monotonic() + READY_SECONDS
    wanted = f"forescale_adapter_streams {float(count)}"
    while True:
        large.process.check()
        try:
            if wanted in await large.metrics():
                return
        except aiohttp.ClientError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all pods stream:\n{large.process.tail()}")
        await asyncio.sleep(0.25)
