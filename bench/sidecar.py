"""Claim: the sidecar is small enough to stand beside every model server.

Real sidecar processes at default ticks, each with the scripted NVML library behind its real child
and a model server's page of a real length, read by one stream as an adapter would. `quiet`: nothing
changes. `busy`: queue and GPU change at every tick, four data-parallel engines make the page long,
and Prometheus scrapes it. Beside them a bare Python that only sleeps: what any Python costs. All at
the same time, for BENCH_SECONDS (60). Memory is the highest seen, processor time the mean.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from aiohttp import web

from bench import page, table
from sidecar import wire
from tests.controlplane.processes import Process, free_ports
from tests.fakes.nvml import FakeGpus  # type: ignore[attr-defined]  # mypy takes its folder

SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))
WARM_SECONDS = 5.0
MEMORY_EVERY_SECONDS = 5.0  # reading a process's page table stops it for a moment
SCRAPE_SECONDS = 15.0
BUSY_ENGINES = 4
MIB = 2.0**20
BUDGETS = ("45", "60", "", "1.00")


@dataclass(slots=True)
class Cost:
    """What one process tree took: bytes at most, processor seconds in all."""

    parent_rss: int = 0
    tree_pss: int = 0
    tree_rss: int = 0
    processor_seconds: float = 0.0

    def cells(self, seconds: float) -> list[str]:
        sizes = [f"{size / MIB:.1f}" for size in (self.parent_rss, self.tree_pss, self.tree_rss)]
        return [*sizes, f"{100 * self.processor_seconds / seconds:.2f}"]


class Load:
    """The fake node and model server of one sidecar; `busy` changes with every look."""

    def __init__(self, folder: Path, *, busy: bool) -> None:
        folder.mkdir()
        self.folder = folder
        self.busy = busy
        self.gpus = FakeGpus(folder)
        self.page_bytes = 0
        self.frames: list[bytes] = []
        self._looks = 0

    async def page(self, _: web.Request) -> web.Response:
        self._looks += 1
        looks = self._looks if self.busy else 0
        figures = page.figures(looks % 40, 100 + looks % 7, 1000 + 3 * looks)
        body = page.vllm(figures, BUSY_ENGINES if self.busy else 1)
        self.page_bytes = len(body)
        return web.Response(body=body)

    async def work(self) -> None:
        while self.busy:
            busy_percent, power = 40 + self._looks % 50, 300_000 + 5_000 * (self._looks % 9)
            self.gpus.set(0, busy_percent=busy_percent, power_milliwatts=power)
            await asyncio.sleep(1.0)


async def measure(folder: Path) -> str:
    """Run all at once and return the table."""
    load_before = table.load()
    loads = [Load(folder / "quiet", busy=False), Load(folder / "busy", busy=True)]
    with ExitStack() as stack:
        floor = stack.enter_context(_floor(folder))
        async with _sidecar(loads[0]) as quiet, _sidecar(loads[1]) as busy:
            trees = [psutil.Process(process.pid) for process in (floor, quiet, busy)]
            await asyncio.sleep(WARM_SECONDS)
            costs = await _watch(trees)
    return _table(costs, loads, load_before)


def _table(costs: list[Cost], loads: list[Load], load_before: float) -> str:
    names = ("parent RSS, MiB", "tree PSS, MiB", "sum of the tree's RSS, MiB", "% of a core")
    columns = [cost.cells(SECONDS) for cost in costs]
    rows = list(zip(names, *columns, BUDGETS, strict=True))
    sizes = [f"{load.page_bytes / 1024:.0f} KiB" for load in loads]
    return table.markdown(
        "The sidecar's footprint",
        ("", "bare Python, asleep", "sidecar, quiet pod", "sidecar, busy pod", "budget"),
        rows,
        f"{SECONDS:g} s at default ticks; vLLM pages of {sizes[0]} (quiet) and {sizes[1]} (busy),"
        " scripted NVML, one stream reader each. Memory is the highest seen; PSS counts the"
        " interpreter's pages in part, since several Pythons share them here as they do on a node.",
        f"Machine: {table.machine(load_before)}.",
    )


async def _watch(trees: list[psutil.Process]) -> list[Cost]:
    costs = [Cost() for _ in trees]
    before = [_processor_seconds(tree) for tree in trees]
    end = time.monotonic() + SECONDS
    while (left := end - time.monotonic()) > 0:
        for tree, cost in zip(trees, costs, strict=True):
            _weigh(tree, cost)
        await asyncio.sleep(min(left, MEMORY_EVERY_SECONDS))
    for tree, cost, began in zip(trees, costs, before, strict=True):
        cost.processor_seconds = _processor_seconds(tree) - began
    return costs


def _weigh(tree: psutil.Process, cost: Cost) -> None:
    found = [process.memory_full_info() for process in (tree, *tree.children(recursive=True))]
    cost.parent_rss = max(cost.parent_rss, found[0].rss)
    cost.tree_pss = max(cost.tree_pss, sum(memory.pss for memory in found))
    cost.tree_rss = max(cost.tree_rss, sum(memory.rss for memory in found))


def _processor_seconds(tree: psutil.Process) -> float:
    times = [process.cpu_times() for process in (tree, *tree.children(recursive=True))]
    return float(sum(spent.user + spent.system for spent in times))


@contextmanager
def _floor(folder: Path) -> Iterator[Process]:
    command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    process = Process("python", command, folder / "floor.log", environment=dict(os.environ))
    process.start()
    try:
        yield process
    finally:
        process.stop()


@asynccontextmanager
async def _sidecar(load: Load) -> AsyncIterator[Process]:
    model_port, port = free_ports(2)
    runner = await _serve(load, model_port)
    command = [sys.executable, "-m", "sidecar", "--host=127.0.0.1", f"--port={port}"]
    command += ["--engine=vllm", f"--engine-url=http://127.0.0.1:{model_port}/metrics"]
    command += ["--pod-uid=bench", f"--gpu-uuids={load.gpus.uuids[0]}"]
    environment = {**os.environ, **load.gpus.env()}
    process = Process("sidecar", command, load.folder / "sidecar.log", environment=environment)
    process.start()
    around = [asyncio.create_task(_read(port, load, process)), asyncio.create_task(load.work())]
    if load.busy:
        around.append(asyncio.create_task(_scrape(port)))
    try:
        yield process
        process.check()
        _raise_of(around)
        _check(load)
    finally:
        for task in around:
            task.cancel()
        process.stop()
        await runner.cleanup()


async def _serve(load: Load, port: int) -> web.AppRunner:
    app = web.Application()
    app.router.add_get("/metrics", load.page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def _read(port: int, load: Load, process: Process) -> None:
    """Hold one stream, as the adapter does."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        while True:
            process.check()
            try:
                async with http.get(f"http://127.0.0.1:{port}/v1/stream") as stream:
                    async for line in stream.content:
                        load.frames.append(line)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)  # it is starting


async def _scrape(port: int) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            await asyncio.sleep(SCRAPE_SECONDS)
            async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                await answer.read()


def _check(load: Load) -> None:
    """A sidecar that reads nothing is cheap: fail unless its last frame has both parts."""
    frame = wire.decode(load.frames[-1])
    missing = "gpu_busy_percent" not in wire.levels(frame) or "pending" not in wire.levels(frame)
    if missing:
        raise RuntimeError(f"the sidecar's frame lacks a part: {load.frames[-1].decode()}")


def _raise_of(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-sidecar-") as folder:
        sys.stdout.write(asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
