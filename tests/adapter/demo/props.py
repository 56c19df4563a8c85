"""What the demo's tests have in common: a pod, a scene, a small HTTP server."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from adapter.demo import pod as demo_pod
from adapter.demo import trace as demo_trace
from adapter.demo.pod import Pod
from adapter.demo.view import Row, Scene

DICE = random.Random(1)  # noqa: S311 - names of pods


@asynccontextmanager
async def served(
    method: str, path: str, handler: Callable[[web.Request], Awaitable[web.Response]]
) -> AsyncIterator[str]:
    """A real HTTP server on loopback; yields its URL."""
    app = web.Application()
    app.router.add_route(method, path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def pod(**fields: object) -> Pod:
    made = demo_pod.new("llm", "127.9.9.1", DICE, now=1_000.0)
    return msgspec.structs.replace(made, **fields)


def scene(rows: int, sentences: int = 3, **fields: Any) -> Scene:
    pods = [
        Row(
            name=f"llm-inference-deployment-6d5f7c9b84-{n:05}",
            state="ready",
            serving=True,
            gpu_percent=100,
            pending=1_234,
            running=4,
            age_seconds=1.4,
        )
        for n in range(rows)
    ]
    made = Scene(
        elapsed_seconds=61.5,
        total_seconds=180.0,
        trace=demo_trace.NAME,
        speed=5.0,
        rate=123.4,
        served=12_345,
        failed=3,
        rows=pods,
        autoscaler="llm-inference-hpa: asks every 3 s (a cluster: 15)",
        arithmetic=["llm_inference_pending_requests: 107.833 per pod / 5 = 21.57; " * 3]
        * sentences,
        replicas=10,
        max_replicas=10,
        history=[1, 4, 8, 10] * 40,
        age_p99_seconds=1.9,
        curl='curl "http://127.0.0.1:50000/apis/…"',
        page="http://127.0.0.1:50001/status",
        commands=["forescale why deployment/llm --adapter http://127.0.0.1:50001"] * 2,
    )
    return msgspec.structs.replace(made, **fields)


def showing(rows: list[Row]) -> Scene:
    return msgspec.structs.replace(scene(0), rows=rows)
