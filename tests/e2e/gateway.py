"""Gateways: pods that hold a request until a model pod can take it, and say how many they have."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import web

from tests.controlplane.kubelet import Kubelet
from tests.e2e.llmpods import MODEL_PORT, LlmPod, LlmPods

Json = dict[str, Any]

APP = "llm-gateway"
PORT = 8000
LOOK_SECONDS = 0.1


class Gateways:
    """Serves each gateway pod in the test's own loop."""

    def __init__(self, kubelet: Kubelet, llm: LlmPods, session: aiohttp.ClientSession) -> None:
        self.addresses: dict[str, str] = {}
        self._kubelet = kubelet
        self._llm = llm
        self._session = session
        self._runners: dict[str, web.AppRunner] = {}
        self._ready: set[asyncio.Task[None]] = set()

    async def ask(self) -> str:
        """Send one request through a gateway, as a client does; return the model's answer."""
        url = f"http://{next(iter(self.addresses.values()))}:{PORT}{self._llm.engine.completions}"
        async with self._session.post(url, json=self._llm.engine.body) as answer:
            return f"{answer.status} {await answer.text()}"

    async def start(self, pod: Json) -> None:
        """Hook: the pod's containers start."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        runner = web.AppRunner(_Gateway(self._llm, self._session).app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, pod["status"]["podIP"], PORT).start()
        self._runners[name], self.addresses[name] = runner, pod["status"]["podIP"]
        self._ready.add(asyncio.create_task(self._turn_ready(namespace, name)))

    async def restart(self, pod: Json) -> None:
        """Hook: nothing of these pods restarts."""

    async def stop(self, pod: Json) -> None:
        """Hook: the pod was deleted."""
        name = pod["metadata"]["name"]
        self.addresses.pop(name)
        await self._runners.pop(name).cleanup()

    async def _turn_ready(self, namespace: str, name: str) -> None:
        """Be the readiness probe, which passes as soon as the kubelet calls the pod running."""
        running = False
        while not running:
            await asyncio.sleep(LOOK_SECONDS)
            running = name in {p["metadata"]["name"] for p in self._kubelet.running(namespace)}
        with suppress(LookupError, RuntimeError):  # deleted meanwhile
            await self._kubelet.set_ready(namespace, name, is_ready=True)


class _Gateway:
    def __init__(self, llm: LlmPods, session: aiohttp.ClientSession) -> None:
        self._llm = llm
        self._session = session
        self._held = 0
        self._running = 0
        self.app = web.Application()
        self.app.router.add_post(llm.engine.completions, self._forward)
        self.app.router.add_get("/metrics", self._page)

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        chosen = await self._model()
        self._running += 1
        chosen.outstanding += 1
        try:
            url = f"http://{chosen.ip}:{MODEL_PORT}{request.path}"
            kind = {"Content-Type": "application/json"}
            async with self._session.post(url, data=body, headers=kind) as answer:
                return web.Response(status=answer.status, body=await answer.read())
        finally:
            chosen.outstanding -= 1
            self._running -= 1

    async def _model(self) -> LlmPod:
        """Return the ready pod that has the fewest; hold the request until there is one."""
        self._held += 1
        try:
            while not (ready := self._llm.ready()):
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._held -= 1
        return min(ready, key=lambda pod: pod.outstanding)

    async def _page(self, _: web.Request) -> web.Response:
        figures = {"pending": self._held, "running": self._running}
        lines = (
            f"# TYPE llm_inference_{name}_requests gauge\nllm_inference_{name}_requests {value}\n"
            for name, value in figures.items()
        )
        return web.Response(text="".join(lines))
