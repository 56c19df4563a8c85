"""Claim: a reading is seconds old when it is served, also with a hundred pods.

A real adapter process on 100 pods: 5 with real sidecar processes (real NVML child on the scripted
library, a real page over HTTP), 95 sidecars in one process with the sidecar's own poll and serve
code at its default ticks (fleet.py), half of them busy. Two clients ask for all pods, one every 15
seconds as the HPA controller does by default, one every 5, at moments drawn at random. Readings
carry the time they were taken (clock.py), so each answer tells its true age, network and parsing
included. Beside it the adapter's own histogram, forescale_adapter_sample_age_seconds.
For BENCH_SECONDS (120).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import msgspec
import psutil
from aiohttp import web

from bench import clock, fleet, page, pods, table
from bench.histogram import Histogram, read
from bench.pods import Sidecar
from tests.controlplane.processes import Process, free_ports
from tests.fakes.nvml import FakeGpus  # type: ignore[attr-defined]  # mypy takes its folder

SECONDS = float(os.environ.get("BENCH_SECONDS", "120"))
EVERY_SECONDS = (15.0, 5.0)
REAL, BUSY, QUIET = 5, 50, 45
READY_SECONDS = 60.0
SETTLE_SECONDS = 4.0  # two heartbeats: every stream carries frames, not only its first
GOALS = {"engine": 2.5, "gpu": 4.5}
NAMES = {"engine": "queue", "gpu": "GPU"}
# Queries whose raw value carries the clock; the age is the same in every view of the same reading.
METRICS: Mapping[str, tuple[str, Callable[[int, float], float]]] = {
    "engine": ("llm_inference_kv_cache_utilization", clock.kv_age_seconds),
    "gpu": ("nvidia_gpu_memory_used_bytes", clock.gpu_age_seconds),
}
Ages = dict[tuple[str, str], list[float]]  # (part, namespace) -> seconds


def planned(port: int) -> list[Sidecar]:
    """Return the pods, each on a loopback address of its own."""
    kinds = [*["real"] * REAL, *["busy"] * BUSY, *["quiet"] * QUIET]
    return [
        pods.of(kind, number, f"127.88.0.{number + 1}", port, busy=kind == "busy")
        for number, kind in enumerate(kinds)
    ]


async def measure(folder: Path) -> str:
    """Run everything and return the table."""
    load_before = table.load()
    api_port, ops_port, sidecar_port, model_port = free_ports(4)
    everyone = planned(sidecar_port)
    runner = await _serve_pages(model_port)
    with _started(folder, everyone, model_port) as sidecars:
        await _until(lambda: _all_listen(sidecars), sidecars)
        with _adapter(folder, everyone, api_port, ops_port) as adapter:
            await _until(lambda: _is_ready(ops_port), [adapter])
            await asyncio.sleep(SETTLE_SECONDS)
            spent = _processor_seconds(adapter)
            began = time.monotonic()
            ages = await _ask(api_port)
            share = (_processor_seconds(adapter) - spent) / (time.monotonic() - began)
            histograms = await _histograms(ops_port)
            for process in (*sidecars, adapter):
                process.check()
    await runner.cleanup()
    return _table(ages, histograms, share, load_before)


def _table(
    ages: Ages, histograms: Mapping[str, Histogram], share: float, load_before: float
) -> str:
    rows = []
    for part in METRICS:
        shown = [key for key in sorted(ages) if key[0] == part]
        rows += [_row(part, f"{key[1]} pods", ages[key]) for key in shown]
        everything = [age for (of, _), found in ages.items() if of == part for age in found]
        rows.append(_row(part, "all", everything, goal=f"{GOALS[part]:g}"))
        own = histograms[part]
        quantiles = [f"{own.quantile(q):.2f}" for q in (0.5, 0.99)]
        rows.append(
            (NAMES[part], "the adapter's histogram", f"{own.count:,.0f}", *quantiles, "", "")
        )
    return table.markdown(
        "Age of a reading at the moment it is served, 100 pods",
        ("reading", "pods", "answers", "p50, s", "p99, s", "highest, s", "goal p99, s"),
        rows,
        f"{SECONDS:g} s, sidecars and adapter at default ticks; {REAL} real sidecar processes and"
        f" {BUSY + QUIET} replayed ones. The adapter took {100 * share:.1f} % of a core."
        " The histogram's figures are interpolated within its buckets.",
        f"Machine: {table.machine(load_before)}.",
    )


def _row(part: str, which: str, found: list[float], goal: str = "") -> tuple[str, ...]:
    shown = [f"{table.percentile(found, percent):.2f}" for percent in (50, 99, 100)]
    return (NAMES[part], which, f"{len(found):,}", *shown, goal)


async def _ask(api_port: int) -> Ages:
    """Ask as two clients until the time is up; return the age of every item answered."""
    ages: Ages = defaultdict(list)
    end = time.monotonic() + SECONDS
    async with aiohttp.ClientSession(f"http://127.0.0.1:{api_port}") as http:
        await asyncio.gather(*(_client(http, every, end, ages) for every in EVERY_SECONDS))
    return ages


async def _client(http: aiohttp.ClientSession, every: float, end: float, ages: Ages) -> None:
    await asyncio.sleep(random.uniform(0, 5.0))  # noqa: S311 - a phase
    while time.monotonic() < end:
        due = time.monotonic() + every + random.uniform(-0.5, 0.5)  # noqa: S311 - no lockstep
        for part in METRICS:
            for namespace in ("real", "busy", "quiet"):
                await _query(http, part, namespace, ages)
        await asyncio.sleep(due - time.monotonic())


async def _query(http: aiohttp.ClientSession, part: str, namespace: str, ages: Ages) -> None:
    metric, age = METRICS[part]
    base = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/*/{metric}"
    async with http.get(base, params={"metricLabelSelector": "stat=raw"}) as answer:
        body = await answer.text()
        now = time.monotonic()
        if answer.status != 200:
            raise RuntimeError(f"{base} answered {answer.status}: {body[:300]}")
    items = json.loads(body)["items"]
    if part == "gpu" and namespace == "real":
        return  # the scripted library does not tell the time; its pods are in the histogram
    ages[part, namespace] += [age(_milli(item["value"]), now) for item in items]


def _milli(quantity: str) -> int:
    return int(quantity[:-1]) if quantity.endswith("m") else 1000 * int(quantity)


async def _histograms(ops_port: int) -> dict[str, Histogram]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{ops_port}/metrics") as answer,
    ):
        text = await answer.text()
    return {part: read(text, "forescale_adapter_sample_age_seconds", part=part) for part in METRICS}


async def _serve_pages(port: int) -> web.AppRunner:
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
def _started(folder: Path, everyone: list[Sidecar], model_port: int) -> Iterator[list[Process]]:
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
def _adapter(
    folder: Path, everyone: list[Sidecar], api_port: int, ops_port: int
) -> Iterator[Process]:
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


async def _all_listen(sidecars: list[Process]) -> bool:
    return fleet.READY in sidecars[0].log.read_text()


async def _is_ready(ops_port: int) -> bool:
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{ops_port}/readyz") as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _until(holds: Callable[[], Awaitable[bool]], needed: list[Process]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not await holds():
        for process in needed:
            process.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{needed[0].name} was not ready:\n{needed[0].tail()}")
        await asyncio.sleep(0.1)


def _processor_seconds(process: Process) -> float:
    spent = psutil.Process(process.pid).cpu_times()
    return float(spent.user + spent.system)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-age-") as folder:
        sys.stdout.write(asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
