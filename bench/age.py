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
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
import psutil

from bench import clock, pods, standalone, table
from bench.histogram import Histogram, read
from bench.pods import Sidecar
from tests.controlplane.processes import Process, free_ports

SECONDS = float(os.environ.get("BENCH_SECONDS", "120"))
EVERY_SECONDS = (15.0, 5.0)
REAL, BUSY, QUIET = 5, 50, 45
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
    runner = await standalone.serve_pages(model_port)
    with standalone.started(folder, everyone, model_port) as sidecars:
        await standalone.until(lambda: standalone.all_listen(sidecars), sidecars)
        with standalone.adapter(folder, everyone, api_port, ops_port) as adapter:
            await standalone.until(lambda: standalone.is_ready(ops_port), [adapter])
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


def _processor_seconds(process: Process) -> float:
    spent = psutil.Process(process.pid).cpu_times()
    return float(spent.user + spent.system)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-age-") as folder:
        sys.stdout.write(asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
