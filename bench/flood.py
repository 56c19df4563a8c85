"""The flood: many connections that each ask again at once, every time for something else.

`python -m bench.flood PORT CONNECTIONS SECONDS` asks an adapter on 127.0.0.1, from addresses of its
own with at most 250 connections each, and prints how many answers came a second.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator

PER_ADDRESS = 250  # the adapter takes 256 of one peer
METRICS = (
    "llm_inference_pending_requests",
    "llm_inference_running_requests",
    "llm_inference_kv_cache_utilization",
    "nvidia_gpu_utilization",
)
STATS = ("mean", "ewma", "max", "p50", "p95")
WINDOWS = ("15s", "30s", "60s", "120s", "300s", "600s")
PODS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/busy/pods/*/"


def paths() -> Iterator[str]:
    """Yield queries for all pods, no two alike: each view in turn, each selector a new one."""
    views = itertools.cycle(itertools.product(METRICS, STATS, WINDOWS))
    for number, (metric, stat, window) in enumerate(views):
        view = f"metricLabelSelector=stat%3D{stat}%2Cwindow%3D{window}"
        yield f"{PODS}{metric}?{view}&labelSelector=app%21%3Dx{number}"


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    """Ask for one path; raise ValueError for another answer than 200."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: adapter\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    body = await reader.readexactly(int(length.partition(":")[2]))
    if " 200 " not in head.partition("\r\n")[0]:
        raise ValueError(f"{path} was answered {head.partition(chr(13))[0]}: {body[:200]!r}")


async def flood(port: int, connections: int, seconds: float) -> float:
    """Return how many answers came a second; raise what ended a connection."""
    asked, answers = paths(), 0

    async def one(number: int) -> None:
        nonlocal answers
        address = f"127.0.1.{1 + number // PER_ADDRESS}"
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(address, 0), limit=2**20
        )
        while True:
            await ask(reader, writer, next(asked))
            answers += 1

    flooding = [asyncio.create_task(one(number)) for number in range(connections)]
    ended, going = await asyncio.wait(
        flooding, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION
    )
    for task in ended:
        task.result()
    for task in going:
        task.cancel()
    await asyncio.gather(*going, return_exceptions=True)
    return answers / seconds


def main() -> None:
    port, connections, seconds = sys.argv[1:]
    per_second = asyncio.run(flood(int(port), int(connections), float(seconds)))
    sys.stdout.write(f"{per_second}\n")


if __name__ == "__main__":
    main()
