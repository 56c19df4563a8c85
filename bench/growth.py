"""Claim: what a replica costs grows with its pods as they do.

The light fleet (lightfleet.py) at each size in turn, half of its pods busy, and a new adapter
process each time. When all stream and SETTLE_SECONDS are over, for BENCH_SECONDS (60): processor
time, resident memory at the end, how long a tick took, and the age of what was answered, by the
adapter's own histograms; twenty namespaces are asked for both parts every 5 s. The plot goes to
docs/growth.svg where BENCH_PLOT=1. The pods come from a directory: pods without a source, which a
selector keeps away from the adapter, are no part of this. A size that one process cannot hear in
large.READY_SECONDS is said to be too large, and the larger ones are not tried.
BENCH_SIZES (100,1000,2000,5000,10000).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from bench import growthplot, histogram, large, table
from bench.large import Large
from tests.controlplane.processes import free_ports

SIZES = tuple(
    int(size) for size in os.environ.get("BENCH_SIZES", "100,1000,2000,5000,10000").split(",")
)
SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))
SETTLE_SECONDS = 10.0
EVERY_SECONDS = 5.0
NAMESPACES = 20
METRICS = ("llm_inference_kv_cache_utilization", "nvidia_gpu_memory_used_bytes")
AGES = "forescale_adapter_sample_age_seconds"
TICKS = "forescale_adapter_tick_duration_seconds"
PLOT = Path(__file__).resolve().parent.parent / "docs" / "growth.svg"


class Cost(msgspec.Struct, frozen=True):
    """What one size cost; ages and the tick are p99."""

    pods: int
    core_ratio: float
    resident_mib: float
    tick_seconds: float
    queue_age_seconds: float
    gpu_age_seconds: float


async def measure() -> tuple[list[Cost], int | None]:
    """Return what each size cost, the smallest first, and the first that was too large."""
    costs: list[Cost] = []
    for count in sorted(SIZES):
        try:
            costs.append(await _of(count))
        except TimeoutError:
            return costs, count
    return costs, None


async def _of(count: int) -> Cost:
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as folder:
        everyone = large.planned(count, NAMESPACES, free_ports(1)[0])
        async with large.running(Path(folder), everyone) as adapter:
            await asyncio.sleep(SETTLE_SECONDS)
            base = f"http://127.0.0.1:{adapter.api_port}"
            async with aiohttp.ClientSession(base) as http:
                return await cost(adapter, http, count, SECONDS)


async def cost(adapter: Large, http: aiohttp.ClientSession, count: int, seconds: float) -> Cost:
    """Ask for so long and return what that cost, all that ran meanwhile included."""
    spent, began = adapter.processor_seconds(), time.monotonic()
    await _ask(http, began + seconds)
    share = (adapter.processor_seconds() - spent) / (time.monotonic() - began)
    page = await adapter.metrics()
    ages = [histogram.read(page, AGES, part=part).quantile(0.99) for part in ("engine", "gpu")]
    tick = histogram.read(page, TICKS).quantile(0.99)
    return Cost(count, share, adapter.resident_mib(), tick, *ages)


async def _ask(http: aiohttp.ClientSession, end: float) -> None:
    while time.monotonic() < end:
        due = time.monotonic() + EVERY_SECONDS
        for number in range(NAMESPACES):
            base = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/team-{number:04d}/pods/*"
            for metric in METRICS:
                async with http.get(f"{base}/{metric}?metricLabelSelector=stat=raw") as answer:
                    if answer.status != 200:
                        raise RuntimeError(f"{metric}: {answer.status} {await answer.text()}")
                    await answer.read()
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def render(costs: Sequence[Cost], too_large: int | None, load_before: float) -> str:
    """Return the table."""
    rows = [
        (
            f"{cost.pods:,}",
            f"{100 * cost.core_ratio:.1f}",
            f"{cost.resident_mib:.0f}",
            table.figure(1000 * cost.tick_seconds),
            f"{cost.queue_age_seconds:.2f}",
            f"{cost.gpu_age_seconds:.2f}",
        )
        for cost in costs
    ]
    if too_large is not None:
        rows.append((f"{too_large:,}", "more than it has", "", "", "", ""))
    head = ("pods", "% of a core", "MiB", "tick p99, ms", "queue age p99, s", "GPU age p99, s")
    return table.markdown(
        "What one replica costs by the pods that stream to it",
        head,
        rows,
        f"{SECONDS:g} s each, half of the pods busy; goals at 10,000: 100 % of a core, 400 MiB,"
        " 2.5 s and 4.5 s. A tick's time has what ran between its steps, and the start-up's ticks"
        " are in it. Times are interpolated within their histogram's buckets. The pods ran on the"
        f" same machine. More than it has: not all were heard within {large.READY_SECONDS:g} s.",
        f"Machine: {table.machine(load_before)}.",
    )


def main() -> None:
    large.enter("bench.growth")
    load_before = table.load()
    costs, too_large = asyncio.run(measure())
    if os.environ.get("BENCH_PLOT") == "1":
        pods = [cost.pods for cost in costs]
        share = [100 * cost.core_ratio for cost in costs]
        PLOT.write_text(growthplot.svg(pods, share, [cost.resident_mib for cost in costs]))
    sys.stdout.write(render(costs, too_large, load_before))


if __name__ == "__main__":
    main()
