"""The standalone adapter: a real process on sidecars of this machine, without a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from bench import clock, fleet, page, pods
from bench.pods import Sidecar
from tests.controlplane.processes import Process
from tests.fakes.nvml import FakeGpus  # type: ignore[attr-defined]  # mypy takes its folder

READY_SECONDS = 60.0


async def serve_pages(port: int) -> web.AppRunner:
    """Serve a vLLM page whose cache figure carries the clock, for real sidecars to read."""

    async def answer(_: web.Request) -> web.Response:
        body = page.vllm(page.figures(int(time.monotonic()) % 5, 4, 1000)).decode()
        kv = f"{clock.kv_percent(time.monotonic()) / 100:.6f}"
        lines = [
            f"{line.rpartition(' ')[0]} {kv}" if line.startswith("vllm:kv_cache") else line
            for line in body.splitlines()
        ]
        return web.Response(text="\n".join(lines) + "\n")

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


@contextmanager
def started(folder: Path, everyone: list[Sidecar], model_port: int) -> Iterator[list[Process]]:
    """Run the sidecars: those of the namespace `real` as processes, all others in one."""
    file = folder / "fleet.json"
    file.write_bytes(msgspec.json.encode([pod for pod in everyone if pod.namespace != "real"]))
    command = [sys.executable, "-m", "bench.fleet", str(file)]
    processes = [Process("fleet", command, folder / "fleet.log", environment=dict(os.environ))]
    real = [pod for pod in everyone if pod.namespace == "real"]
    processes += [_sidecar(folder / pod.name, pod, model_port) for pod in real]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            process.stop()


def _sidecar(folder: Path, pod: Sidecar, model_port: int) -> Process:
    folder.mkdir()
    gpus = FakeGpus(folder)
    gpus.set(0, busy_percent=60, memory_used_bytes=40 * 2**30)
    command = [sys.executable, "-m", "sidecar", f"--host={pod.ip}", f"--port={pod.port}"]
    command += [f"--engine-url=http://127.0.0.1:{model_port}/metrics", "--engine=vllm"]
    command += [f"--pod-uid={pod.uid}", f"--gpu-uuids={gpus.uuids[0]}"]
    environment = {**os.environ, **gpus.env()}
    return Process(pod.name, command, folder / "sidecar.log", environment=environment)


@contextmanager
def adapter(
    folder: Path, everyone: list[Sidecar], api_port: int, ops_port: int
) -> Iterator[Process]:
    """Run an adapter on the sidecars' pods, without a cluster."""
    directory = folder / "pods"
    directory.mkdir()
    for pod in everyone:
        (directory / f"{pod.uid}.json").write_text(json.dumps(pods.as_json(pod)))
    command = [sys.executable, "-m", "adapter", f"--standalone={directory}"]
    command += ["--api-host=127.0.0.1", f"--api-port={api_port}", "--intake-allow-loopback=true"]
    command += ["--ops-host=127.0.0.1", f"--ops-port={ops_port}"]
    process = Process("adapter", command, folder / "adapter.log", environment=dict(os.environ))
    process.start()
    try:
        yield process
    finally:
        process.stop()


async def all_listen(sidecars: list[Process]) -> bool:
    """Return whether all of the one process listen."""
    return fleet.READY in sidecars[0].log.read_text()


async def is_ready(ops_port: int) -> bool:
    """Return whether the adapter is ready."""
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{ops_port}/readyz") as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def until(holds: Callable[[], Awaitable[bool]], needed: list[Process]) -> None:
    """Wait; raise TimeoutError after `READY_SECONDS`, and what ended a process that is needed."""
    deadline = time.monotonic() + READY_SECONDS
    while not await holds():
        for process in needed:
            process.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{needed[0].name} was not ready:\n{needed[0].tail()}")
        await asyncio.sleep(0.1)
