"""Claim: one replica answers 5,000 HPAs of two metrics each, while 2,000 pods stream to it.

Every HPA asks for both of its metrics each 15 s, as the HPA controller does by default, at a moment
drawn at random once: 667 requests a second. Each has a workload of its own namespace; 40 pods share
one. The client is one Python process on kept connections; it waits for no answer before it sends
the next request, and a request's time counts from the moment it was due, so that a queue in front
of the adapter is in the figure. HTTP without TLS on loopback: no API server, no reviews.
BENCH_HPAS (5000), BENCH_PODS (2000), BENCH_SECONDS (180).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import aiohttp
import msgspec

from bench import large, table
from bench.large import Large
from tests.controlplane.processes import free_ports

HPAS = int(os.environ.get("BENCH_HPAS", "5000"))
PODS = int(os.environ.get("BENCH_PODS", "2000"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "180"))
PERIOD_SECONDS = 15.0
PODS_PER_NAMESPACE = 40
GOAL_P99_MS = 25
CONNECTIONS = 100
SETTLE_SECONDS = 10.0
IDLE_SECONDS = 10.0
METRICS = ("llm_inference_inflight_requests", "nvidia_gpu_utilization")


class Seen(msgspec.Struct):
    """What all requests came to."""

    latencies_ms: list[float] = []
    errors: int = 0
    error: str = ""


async def measure(folder: Path) -> str:
    """Run everything and return the table."""
    load_before = table.load()
    namespaces = max(1, PODS // PODS_PER_NAMESPACE)
    everyone = large.planned(PODS, namespaces, free_ports(1)[0])
    async with large.running(folder, everyone) as adapter:
        await asyncio.sleep(SETTLE_SECONDS)
        idle = await _share(adapter, asyncio.sleep(IDLE_SECONDS))
        seen = Seen()
        share = await _share(adapter, _ask(adapter, namespaces, seen))
        resident = adapter.resident_mib()
    return _table(seen, idle, share, resident, load_before)


async def _share(adapter: Large, meanwhile: Awaitable[None]) -> float:
    """Return which share of a core the adapter takes meanwhile."""
    spent, began = adapter.processor_seconds(), time.monotonic()
    await meanwhile
    return (adapter.processor_seconds() - spent) / (time.monotonic() - began)


async def _ask(adapter: Large, namespaces: int, seen: Seen) -> None:
    end = time.monotonic() + SECONDS
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    base = f"http://127.0.0.1:{adapter.api_port}"
    async with aiohttp.ClientSession(base, connector=connector) as http:
        askers = (_hpa(http, f"team-{n % namespaces:04d}", end, seen) for n in range(HPAS))
        await asyncio.gather(*askers)


async def _hpa(http: aiohttp.ClientSession, namespace: str, end: float, seen: Seen) -> None:
    due = time.monotonic() + random.uniform(0, PERIOD_SECONDS)  # noqa: S311 - a phase
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = due
        for metric in METRICS:  # one after the other, as the controller does
            await _query(http, namespace, metric, seen, began)
            began = time.monotonic()
        due += PERIOD_SECONDS


async def _query(
    http: aiohttp.ClientSession, namespace: str, metric: str, seen: Seen, began: float
) -> None:
    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/*/{metric}"
    try:
        async with http.get(f"{path}?labelSelector=app=llm-inference") as answer:
            body = await answer.read()
            trouble = "" if answer.status == 200 else f"{answer.status}: {body[:200]!r}"
    except (aiohttp.ClientError, TimeoutError) as error:
        trouble = str(error) or type(error).__name__
    if trouble:
        seen.errors, seen.error = seen.errors + 1, trouble
        return
    seen.latencies_ms.append(1000 * (time.monotonic() - began))


def _table(seen: Seen, idle: float, share: float, resident_mib: float, load_before: float) -> str:
    each = 1000 * (share - idle) * SECONDS / max(1, len(seen.latencies_ms) + seen.errors)
    shown = [table.figure(table.percentile(seen.latencies_ms, p)) for p in (50, 99, 100)]
    row = (f"{HPAS:,} HPAs", f"{len(seen.latencies_ms):,}", f"{seen.errors:,}", *shown)
    notes = [f"The last error: {seen.error}."] if seen.error else []
    return table.markdown(
        f"{HPAS:,} HPAs of two metrics every {PERIOD_SECONDS:g} s, {PODS:,} pods stream",
        ("from", "answers", "errors", "p50, ms", "p99, ms", "highest, ms", "goal p99, ms"),
        [(*row, f"{GOAL_P99_MS}")],
        f"{SECONDS:g} s, one replica, HTTP on loopback. It took {100 * share:.0f} % of a core,"
        f" {100 * idle:.0f} % while nobody asked, so that an answer costs {each:.2f} ms of a core;"
        f" it had {resident_mib:.0f} MiB at the end. Client and pods ran on the same machine.",
        *notes,
        f"Machine: {table.machine(load_before)}.",
    )


def main() -> None:
    large.enter("bench.hpas")
    with tempfile.TemporaryDirectory(prefix="bench-hpas-") as folder:
        sys.stdout.write(asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
