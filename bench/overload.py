"""Claim: discovery answers within 50 ms at the 99th percentile however many flood the adapter.

A real adapter process on 100 pods that stream to it. Connections that ask again at once (flood.py),
every query another view of 50 pods, take all that one core gives: none, 16, 250 and 740 of them,
which is nearly all that the adapter takes of strangers. Beside them two callers of another address
ask fifty times a second, one for the discovery document, as kube-apiserver does, one for the pods
of a workload, as an HPA does. How long each waited for the whole answer. BENCH_SECONDS (10) each.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from bench import flood, pods, standalone, table
from bench.pods import Sidecar
from tests.controlplane.processes import Process, free_ports

SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
FLOODS = (0, 16, 250, 740)
PODS = 100
EVERY_SECONDS = 0.02
WARM_SECONDS = 2.0  # all connections are made
SETTLE_SECONDS = 4.0  # every stream carries frames, not only its first
PATHS = {
    "discovery": "/apis/custom.metrics.k8s.io/v1beta2",
    "an HPA's query": "/apis/custom.metrics.k8s.io/v1beta2/namespaces/quiet/pods/*/"
    "llm_inference_pending_requests",
}


def planned(port: int) -> list[Sidecar]:
    """Return the pods, each on a loopback address of its own."""
    kinds = ("quiet", "busy")
    return [
        pods.of(kinds[number % 2], number, f"127.88.1.{number + 1}", port, busy=number % 2 == 1)
        for number in range(PODS)
    ]


async def measure(folder: Path) -> str:
    """Run everything and return the table."""
    load_before = table.load()
    api_port, ops_port, sidecar_port = free_ports(3)
    everyone = planned(sidecar_port)
    rows = []
    with standalone.started(folder, everyone, model_port=0) as sidecars:
        await standalone.until(lambda: standalone.all_listen(sidecars), sidecars)
        with standalone.adapter(folder, everyone, api_port, ops_port) as adapter:
            await standalone.until(lambda: standalone.is_ready(ops_port), [adapter])
            await asyncio.sleep(SETTLE_SECONDS)
            for connections in FLOODS:
                rows += await _flooded(folder, api_port, connections)
                adapter.check()
    return table.markdown(
        "How long a caller waits while others flood the adapter",
        ("flooding connections", "their answers/s", "asked", "p50, ms", "p99, ms", "highest, ms"),
        rows,
        f"{SECONDS:g} s each, {PODS} pods; every query of the flood is another one, of 50 pods.",
        f"Machine: {table.machine(load_before)}.",
    )


async def _flooded(folder: Path, port: int, connections: int) -> list[tuple[str, ...]]:
    """Return a row for each path: what its caller waited beside so many connections."""
    log = folder / f"flood-{connections}.log"
    command = [sys.executable, "-m", "bench.flood", str(port), str(connections)]
    command.append(str(SECONDS + WARM_SECONDS))
    flooding = Process("flood", command, log, environment=dict(os.environ))
    if connections:
        flooding.start()
        await asyncio.sleep(WARM_SECONDS)
    waits = await asyncio.gather(*(_waits(port, path) for path in PATHS.values()))
    rate = "0"
    if connections:
        rate = f"{float(await _told(log)):,.0f}"
        flooding.stop()
    shown = zip(PATHS, waits, strict=True)
    return [(str(connections), rate, what, *_figures(found)) for what, found in shown]


async def _told(log: Path) -> str:
    """Return what the flood printed at its end."""
    for _ in range(100):
        if text := _text(log):
            return text
        await asyncio.sleep(0.1)
    raise TimeoutError("the flood did not say how many answers it had")


def _text(log: Path) -> str:
    return log.read_text().strip()


async def _waits(port: int, path: str) -> list[float]:
    waits = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        began = time.monotonic()
        await flood.ask(reader, writer, path)
        waits.append(time.monotonic() - began)
        await asyncio.sleep(EVERY_SECONDS)
    writer.close()
    return waits


def _figures(waits: list[float]) -> list[str]:
    return [table.figure(1000 * table.percentile(waits, percent)) for percent in (50, 99, 100)]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-overload-") as folder:
        sys.stdout.write(asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
