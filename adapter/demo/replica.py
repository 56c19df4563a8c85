"""The replica: one pod's life as real processes: a model server and the sidecar beside it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec

from adapter.demo.fakes import MODEL_SERVER, Fakes
from adapter.demo.gpu import Gpu
from adapter.demo.pod import MODEL_PORT, SIDECAR_PORT, Pod, as_json
from adapter.demo.process import Child, stop_all

SLOTS = 4
SERVICE_SECONDS = 0.5  # with four slots: eight requests a second and pod
COLD_START_SECONDS = 4.0  # minutes on a cluster, where a model is loaded
SCHEDULING_SECONDS = 0.5
PROBE_SECONDS = 0.5
DRAIN_SECONDS = 10.0

_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
_RUNNING = re.compile(r"^vllm:num_requests_running(?:\{[^}]*\})? (\S+)", re.MULTILINE)


class Replica:
    """Owns one pod's file and processes; `run` is its life, `end` asks it to leave."""

    def __init__(
        self, pod: Pod, *, fakes: Fakes, logs: Path, pods: Path, session: aiohttp.ClientSession
    ) -> None:
        self.pod = pod
        self.outstanding = 0  # requests that the load balancer has with it
        self._idle = asyncio.Event()
        self._idle.set()
        self.url = f"http://{pod.ip}:{MODEL_PORT}"
        self._fakes = fakes
        self._logs = logs
        self._file = pods / f"{pod.name}.json"
        self._session = session
        self._ending = asyncio.Event()
        self._children: list[Child] = []

    async def run(self) -> None:
        """Live until asked to end or cancelled; raise StartupError when a process ended first."""
        try:
            self._become(self.pod)
            await self._pause(SCHEDULING_SECONDS)
            if not self._ending.is_set():
                self._become(msgspec.structs.replace(self.pod, scheduled_at=time.time()))
                await self._work()
            await self._drain()
        finally:
            await stop_all(self._children)
            self._file.unlink(missing_ok=True)

    def end(self) -> None:
        """Ask it to finish the requests that it has and to leave, as a deleted pod does."""
        if not self._ending.is_set():
            self._become(msgspec.structs.replace(self.pod, ending_at=time.time()))
            self._ending.set()

    def take(self) -> None:
        """Count one request that was sent to it."""
        self.outstanding += 1
        self._idle.clear()

    def give_back(self) -> None:
        """Count one request less."""
        self.outstanding -= 1
        if not self.outstanding:
            self._idle.set()

    async def _work(self) -> None:
        gpu = Gpu(self._fakes, self._logs / self.pod.name, self.pod.gpu_uuid)
        await self._start(gpu)
        self._become(msgspec.structs.replace(self.pod, phase="Running", started_at=time.time()))
        while not self._ending.is_set() and not await self._healthy():
            await self._pause(PROBE_SECONDS)
        if not self._ending.is_set():
            gpu.load_model()
            self._become(msgspec.structs.replace(self.pod, ready_at=time.time()))
        while not self._ending.is_set():
            gpu.work(await self._running() / SLOTS)
            await self._pause(PROBE_SECONDS)

    async def _start(self, gpu: Gpu) -> None:
        at = f"--host={self.pod.ip}"
        server = [MODEL_SERVER, at, f"--port={MODEL_PORT}", "--engine=vllm", f"--slots={SLOTS}"]
        server += [f"--service-time={SERVICE_SECONDS}", f"--cold-start={COLD_START_SECONDS}"]
        await self._child("model", server, {})
        sidecar = ["sidecar", at, f"--port={SIDECAR_PORT}", f"--pod-uid={self.pod.uid}"]
        sidecar += ["--engine=vllm", f"--engine-url={self.url}/metrics"]
        sidecar += [f"--gpu-uuids={self.pod.gpu_uuid}"]
        await self._child("sidecar", sidecar, gpu.env)

    async def _child(self, part: str, module: list[str], env: dict[str, str]) -> None:
        name = f"{self.pod.name}-{part}"
        child = await Child.start(name, module, root=self._fakes.root, folder=self._logs, env=env)
        self._children.append(child)

    async def _healthy(self) -> bool:
        """Return whether the model server answers, as a readinessProbe would ask it."""
        return await self._page("/health") is not None

    async def _running(self) -> float:
        """Return how many requests the model server works on, by its own word."""
        match = _RUNNING.search(await self._page("/metrics") or "")
        return float(match[1]) if match else 0.0

    async def _page(self, path: str) -> str | None:
        for child in self._children:
            child.check()
        try:
            async with self._session.get(f"{self.url}{path}", timeout=_PROBE_TIMEOUT) as answer:
                return await answer.text() if answer.ok else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until it is asked to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _become(self, pod: Pod) -> None:
        """Take the new status and write it whole, so that a reader sees the old or the new."""
        self.pod = pod
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(as_json(pod)), encoding="utf-8")
        part.replace(self._file)
