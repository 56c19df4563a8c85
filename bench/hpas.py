"""Claim: one replica answers 5,000 HPAs of two metrics each, while 2,000 pods stream to it.

Every HPA asks for both of its metrics each 15 s, as the HPA controller does by default, at a moment
drawn at random once: 667 requests a second. Each has a workload of its own namespace; 40 pods share
one. The client is a Go program on kept connections; no HPA waits for another's answer, and a sync's
first request counts from the moment it was due: a queue in front of the adapter is in the figure.
HTTP without TLS on loopback: no API server, no reviews. The floor is a server of the same bytes,
asked by the same HPAs while the same pods stream to the adapter, which nobody asks then.
BENCH_HPAS (5000), BENCH_PODS (2000), BENCH_SECONDS (180).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp

from bench import large, loadgen, table
from bench.large import Large
from bench.loadgen import Hpas, Report
from tests.controlplane.processes import Process, free_ports

PODS = int(os.environ.get("BENCH_PODS", "2000"))
PODS_PER_NAMESPACE = 40
NAMESPACES = max(1, PODS // PODS_PER_NAMESPACE)
GOAL_P99_MS = 25
SETTLE_SECONDS = 10.0
IDLE_SECONDS = 10.0
T = TypeVar("T")
HPAS = Hpas(
    count=int(os.environ.get("BENCH_HPAS", "5000")),
    namespaces=NAMESPACES,
    period_seconds=15.0,
    seconds=float(os.environ.get("BENCH_SECONDS", "180")),
    metrics=("llm_inference_inflight_requests", "nvidia_gpu_utilization"),
    selector="app=llm-inference",
)


async def measure(folder: Path) -> str:
    """Run everything and return the table."""
    load_before = table.load()
    client = loadgen.program()
    everyone = large.planned(PODS, NAMESPACES, free_ports(1)[0])
    async with large.running(folder, everyone) as adapter:
        await asyncio.sleep(SETTLE_SECONDS)
        idle, _ = await _share(adapter, asyncio.sleep(IDLE_SECONDS))
        base = f"http://127.0.0.1:{adapter.api_port}"
        async with _static(client, folder, base) as static:
            floor = await loadgen.ask_as(client, static, HPAS)
        busy, seen = await _share(adapter, loadgen.ask_as(client, base, HPAS))
        cost = _cost(idle, busy, seen, adapter.resident_mib())
    return _table(seen, floor, cost, load_before)


async def _share(adapter: Large, meanwhile: Awaitable[T]) -> tuple[float, T]:
    """Return which share of a core the adapter takes meanwhile, and what that comes to."""
    spent, began = adapter.processor_seconds(), time.monotonic()
    found = await meanwhile
    return (adapter.processor_seconds() - spent) / (time.monotonic() - began), found


def _cost(idle: float, busy: float, seen: Report, resident_mib: float) -> str:
    each = 1000 * (busy - idle) * seen.seconds / max(1, len(seen.latencies_seconds))
    return (
        f"It took {100 * busy:.0f} % of a core, {100 * idle:.0f} % while nobody asked, so that an"
        f" answer costs {each:.2f} ms of a core; it had {resident_mib:.0f} MiB at the end."
    )


@asynccontextmanager
async def _static(client: Path, folder: Path, base: str) -> AsyncIterator[str]:
    """Serve what the adapter answers now as bytes of a file, and yield where."""
    bodies = folder / "static"
    bodies.mkdir()
    (bodies / "discovery").write_bytes(b"{}")
    async with aiohttp.ClientSession(base) as http:
        for number in range(NAMESPACES):
            (bodies / f"team-{number:04d}").write_bytes(await _answer(http, number))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [str(client), "static", f"-address={address}", f"-folder={bodies}"]
    process = Process("static", command, folder / "static.log", environment=dict(os.environ))
    process.start()
    try:
        await asyncio.sleep(1)
        process.check()
        yield f"http://{address}"
    finally:
        process.stop()


async def _answer(http: aiohttp.ClientSession, number: int) -> bytes:
    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/team-{number:04d}/pods/*"
    query = f"{path}/{HPAS.metrics[0]}?labelSelector={HPAS.selector}"
    async with http.get(query, raise_for_status=True) as answer:
        return await answer.read()


def _table(seen: Report, floor: Report, cost: str, load_before: float) -> str:
    trouble = {one.failure for one in (seen, floor) if one.failures}
    return table.markdown(
        f"{HPAS.count:,} HPAs of two metrics every {HPAS.period_seconds:g} s, {PODS:,} pods stream",
        ("from", "answers", "errors", "p50, ms", "p99, ms", "highest, ms", "goal p99, ms"),
        [(*_row("forescale", seen), f"{GOAL_P99_MS}"), (*_row("static bytes", floor), "")],
        f"{HPAS.seconds:g} s, one replica, HTTP on loopback. {cost} Client and pods ran on the same"
        " machine.",
        *(f"An error: {each}." for each in sorted(trouble)),
        f"Machine: {table.machine(load_before)}.",
    )


def _row(name: str, report: Report) -> tuple[str, ...]:
    milliseconds = [1000 * seconds for seconds in report.latencies_seconds]
    shown = [table.figure(table.percentile(milliseconds, p)) for p in (50, 99, 100)]
    return name, f"{len(milliseconds):,}", f"{report.failures:,}", *shown


def main() -> None:
    large.enter("bench.hpas")
    with tempfile.TemporaryDirectory(prefix="bench-hpas-") as folder:
        sys.stdout.write(asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
