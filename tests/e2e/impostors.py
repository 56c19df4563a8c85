"""Impostors: pods whose port 9401 says what no sidecar of ours would, as an annotation chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from sidecar import wire
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.workloads import deployment

Json = dict[str, Any]

ANNOTATION = "test.forescale.dev/impostor"
PORT = 9401
PAGE_PORT = 8000
PAGE = "vllm:num_requests_waiting 7\nvllm:num_requests_running 1\n"


def frame(uid: str, **changes: object) -> bytes:
    """Return a frame of a well-behaved sidecar, with changes."""
    engine = wire.EngineReading("vllm", wire.EngineState.READY, pending=7.0, running=1.0)
    fields: dict[str, object] = {
        "schema": wire.SCHEMA,
        "boot": "impostor",
        "seq": 1,
        "period_seconds": 2.0,
        "uid": uid,
        "age_seconds": wire.Ages(engine=0.1),
        "engine": engine,
    }
    return wire.encode(wire.Frame(**(fields | changes)))  # type: ignore[arg-type]


def raw(uid: str, before: bytes, after: bytes) -> bytes:
    """Return the good frame with bytes replaced, as no encoder of ours would write it."""
    good = frame(uid)
    assert before in good
    return good.replace(before, after)


# What each says, once a second; `{kind: (uid) -> bytes}`.
KINDS: dict[str, Callable[[str], bytes]] = {
    "honest": frame,
    "unknown-fields": lambda uid: raw(uid, b'"seq":1', b'"seq":1,"of_2030":{"a":[1]}'),
    "negative": lambda uid: raw(uid, b'"pending":7.0', b'"pending":-7.0'),
    "huge": lambda uid: raw(uid, b'"pending":7.0', b'"pending":1e15'),
    "nan": lambda uid: raw(uid, b'"pending":7.0', b'"pending":NaN'),
    "infinity": lambda uid: raw(uid, b'"pending":7.0', b'"pending":1e999'),
    "truncated": lambda uid: frame(uid)[: len(frame(uid)) // 2] + b"\n",
    "other-uid": lambda _: frame("11111111-2222-3333-4444-555555555555"),
    "future-schema": lambda uid: frame(uid, schema=wire.SCHEMA + 1),
    "endless-line": lambda _: b"x" * 65536,
}

# Good ones with figures of their own.
BUSY = (wire.GpuReading("GPU-1", busy_percent=79.0),)
FIGURES: dict[str, Callable[[str], bytes]] = {
    "busy-gpu": lambda uid: frame(uid, gpus=BUSY, age_seconds=wire.Ages(engine=0.1, gpu=0.1)),
    "old-release": lambda uid: frame(uid, release="0.0.1"),
}


def workload(name: str, kind: str = "honest", *, replicas: int) -> Json:
    """Return a Deployment whose pods are all of one kind."""
    made = deployment(name, replicas=replicas, annotations={ANNOTATION: kind})
    template = made["spec"]["template"]
    template["metadata"]["labels"]["forescale.dev/source"] = "sidecar"
    template["spec"]["containers"] = [{"name": "llm", "image": "model:1"}]
    (sidecar,) = template["spec"]["initContainers"]
    sidecar["ports"] = [{"name": "forescale", "containerPort": PORT}]
    return made


class Impostors:
    """Serves each impostor pod's stream in the test's own loop."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        self._runners: dict[str, web.AppRunner] = {}

    async def start(self, pod: Json) -> None:
        """Hook: the pod's containers start."""
        meta = pod["metadata"]
        says = (KINDS | FIGURES)[meta["annotations"][ANNOTATION]]
        app = web.Application()

        async def answer(request: web.Request) -> web.StreamResponse:
            return await _stream(request, says(meta["uid"]))

        async def page(_: web.Request) -> web.Response:
            return web.Response(text=PAGE)

        app.router.add_get("/v1/stream", answer)
        app.router.add_get("/metrics", page)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        for port in (PORT, PAGE_PORT):
            await web.TCPSite(runner, pod["status"]["podIP"], port).start()
        self._runners[meta["name"]] = runner

    async def restart(self, pod: Json) -> None:
        """Hook: nothing of these pods restarts."""

    async def stop(self, pod: Json) -> None:
        """Hook: the pod was deleted."""
        await self._runners.pop(pod["metadata"]["name"]).cleanup()


async def _stream(request: web.Request, line: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    async for _ in _seconds():
        await response.write(line)
    return response


async def _seconds() -> AsyncIterator[None]:
    for _ in range(60):
        yield
        await asyncio.sleep(1.0)
