"""Claim: the sidecar is small enough to stand beside every model server, however many its GPUs.

Real sidecar processes at default ticks, each with the scripted NVML library behind its real child
and a model server's page of a real length, read by one stream as an adapter would. `no GPU`: no
NVML library, as where the container sees no GPU; a child then lives for a moment at each retry.
`quiet`: nothing changes. `busy`: queue and GPUs change at every tick, with driver samples and GPM
activity, four data-parallel engines make the page long, and Prometheus scrapes it. `MIG`: one
instance of one GPU. `wrapper`: as the first process of the model's container, which is a `sleep`
here; its parent is the wrapper, which does nothing but wait. `node agent`: beside no model server,
asking a kubelet whose the GPUs are. Beside them a bare Python that only sleeps: what any Python
costs. All at the same time, for BENCH_SECONDS (60). Memory is the highest seen, processor time the
mean, that of the scripted library in the child included. At the end NVML hangs in each, and the
time until a frame says that its GPUs are unknown is taken.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from aiohttp import web

from bench import table
from bench.sidecarload import MODES, Load, Way
from sidecar import wire
from tests.controlplane.processes import Process, free_ports
from tests.fakes.kubelet import FakeKubelet, pod

SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))
START_SECONDS = 60.0
WARM_SECONDS = 5.0
MEMORY_EVERY_SECONDS = 5.0  # reading a process's page table stops it for a moment
SCRAPE_SECONDS = 15.0
MIB = 2.0**20
BUDGET = ("budget", "45", "60", "", "1.00", "5.0")
HANG_SECONDS = 10.0  # period 2 s, deadline 1 s, and as much again for a machine that is busy
HANGING = "nvmlDeviceGetMemoryInfo_v2"


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


async def measure(folder: Path) -> str:
    """Run all at once and return the table."""
    load_before = table.load()
    loads = [Load(folder, mode) for mode in MODES]
    async with AsyncExitStack() as stack:
        floor = stack.enter_context(_floor(folder))
        kubelet = stack.enter_context(FakeKubelet())
        kubelet.pods = [pod(f"llm-{n}", *uuids) for n, uuids in enumerate(_of_agents(loads))]
        sidecars = [
            await stack.enter_async_context(_sidecar(load, kubelet.folder)) for load in loads
        ]
        trees = [psutil.Process(process.pid) for process in (floor, *sidecars)]
        await asyncio.gather(*(_started(load) for load in loads))
        await asyncio.sleep(WARM_SECONDS)  # what a start costs is no part of what it costs to run
        costs = await _watch(trees)
        hangs = await asyncio.gather(*(_hang(load) for load in loads))
    return _table(costs, [math.nan, *hangs], loads, load_before)


def _of_agents(loads: list[Load]) -> list[list[str]]:
    return [load.uuids for load in loads if load.mode.way is Way.AGENT]


async def _started(load: Load) -> None:
    """Wait until a frame has all parts."""
    end = time.monotonic() + START_SECONDS
    while not load.frames or _missing(load):
        if time.monotonic() > end:
            last = load.frames[-1].decode() if load.frames else "no frame"
            raise RuntimeError(f"{load.mode.name}: the frame lacks a part: {last}")
        await asyncio.sleep(0.1)


async def _hang(load: Load) -> float:
    """Let NVML hang; return the seconds until a frame says that the GPUs are unknown."""
    if not load.mode.gpus:
        return math.nan
    if _missing(load):
        raise RuntimeError(f"{load.mode.name}: {load.frames[-1].decode()} lacks a part")
    load.gpus.hang(HANGING)
    began = time.monotonic()
    while (frame := wire.decode(load.frames[-1])).gpus is not None or frame.visible is not None:
        if time.monotonic() - began > HANG_SECONDS:
            raise RuntimeError(f"{load.mode.name}: GPUs are still published in a hang")
        await asyncio.sleep(0.02)
    took = time.monotonic() - began
    queue = frame.engine is not None and frame.engine.pending is not None
    if load.mode.way is not Way.AGENT and not queue:
        raise RuntimeError(f"{load.mode.name}: a hang of NVML cost the queue")
    return took


def _table(costs: list[Cost], hangs: list[float], loads: list[Load], load_before: float) -> str:
    head = ("", "parent RSS, MiB", "tree PSS, MiB", "sum of the tree's RSS, MiB", "% of a core")
    names = ("bare Python, asleep", *(load.mode.name for load in loads))
    rows = [
        (name, *cost.cells(SECONDS), table.figure(hang))
        for name, cost, hang in zip(names, costs, hangs, strict=True)
    ]
    sizes = sorted({f"{load.page_bytes / 1024:.0f} KiB" for load in loads if load.page_bytes})
    return table.markdown(
        "The sidecar's footprint",
        (*head, "NVML hangs: unknown after, s"),
        [*rows, BUDGET],
        f"{SECONDS:g} s at default ticks; vLLM pages of {' and '.join(sizes)}, scripted NVML, one"
        " stream reader each. Memory is the highest seen; PSS counts the interpreter's pages in"
        " part, since several Pythons share them here as they do on a node.",
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
    found = [tree.memory_full_info()]
    for child in tree.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that looked for a GPU and has ended
            found.append(child.memory_full_info())
    cost.parent_rss = max(cost.parent_rss, found[0].rss)
    cost.tree_pss = max(cost.tree_pss, sum(memory.pss for memory in found))
    cost.tree_rss = max(cost.tree_rss, sum(memory.rss for memory in found))


def _processor_seconds(tree: psutil.Process) -> float:
    """Return what the tree took so far, children that ended included."""
    times = [tree.cpu_times()]
    for child in tree.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times.append(child.cpu_times())
    ended = times[0].children_user + times[0].children_system
    return float(ended + sum(spent.user + spent.system for spent in times))


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
async def _sidecar(load: Load, kubelet: Path) -> AsyncIterator[Process]:
    model_port, port = free_ports(2)
    runner = await _serve(load, model_port)
    command = load.command(port, model_port, kubelet)
    log, environment = load.folder / "sidecar.log", load.environment()
    process = Process("sidecar", command, log, environment=environment)
    process.start()
    around = [asyncio.create_task(_read(port, load, process)), asyncio.create_task(load.work())]
    if load.busy:
        around.append(asyncio.create_task(_scrape(port)))
    try:
        yield process
        process.check()
        _raise_of(around)
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


def _missing(load: Load) -> bool:
    """Tell whether the last frame lacks a part: a sidecar that reads nothing is cheap."""
    frame = wire.decode(load.frames[-1])
    if load.mode.way is Way.AGENT:
        read = [gpu for gpu in frame.visible or () if gpu.busy_percent and gpu.tensor_percent]
        return not frame.held or len(read) != load.mode.gpus
    wanted = {"pending"}
    if load.mode.gpus:
        wanted |= {"gpu_busy_percent", "gpu_memory_percent"}
    if load.busy:
        wanted.add("gpu_tensor_percent")
    return bool(wanted - set(wire.levels(frame))) or len(frame.gpus or ()) != load.mode.gpus


def _raise_of(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-sidecar-") as folder:
        sys.stdout.write(asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
