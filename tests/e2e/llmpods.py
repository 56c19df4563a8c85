"""The LLM pods of a test: behind each pod IP a model server and the real sidecar, as processes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.controlplane.kubelet import Kubelet
from tests.controlplane.processes import Process
from tests.fakes.nvml import FakeGpus

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
MODEL_PORT = 8000
SIDECAR_PORT = 9401
SLOTS = 4
SERVICE_SECONDS = 0.5  # four slots serve eight requests a second
COLD_START_SECONDS = 2.0
NEVER_SECONDS = 3_600.0
PROBE_SECONDS = 0.3
TIMEOUT = aiohttp.ClientTimeout(total=2.0)


@dataclass(frozen=True)
class Engine:
    """One kind of model server: how it is started and where it is asked; `{ip}` is the pod's."""

    command: tuple[str, ...]
    health: str
    metrics_port: int
    completions: str
    body: Json


FAKE_VLLM = Engine(
    command=(
        sys.executable,
        "-m",
        "tests.fakes.model_server",
        "--host={ip}",
        f"--port={MODEL_PORT}",
        f"--slots={SLOTS}",
        f"--service-time={SERVICE_SECONDS}",
    ),
    health="/health",
    metrics_port=MODEL_PORT,
    completions="/v1/completions",
    body={"model": "demo", "prompt": "Hello", "max_tokens": 8},
)


@dataclass
class LlmPod:
    """One running pod's processes and what the test's load has with it."""

    name: str
    namespace: str
    ip: str
    gpus: FakeGpus
    model: Process
    sidecar: Process
    ready: bool = False
    outstanding: int = 0
    waiting: float = 0.0  # requests that no slot is free for, by the server's own page
    probe: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.ip}:{MODEL_PORT}"


class LlmPods:
    """Starts and stops the pods' processes as the kubelet's hooks; GPUs follow the servers."""

    def __init__(self, folder: Path, kubelet: Kubelet, session: aiohttp.ClientSession) -> None:
        self.pods: dict[str, LlmPod] = {}
        self.engine = FAKE_VLLM
        self.cold_start_seconds = COLD_START_SECONDS
        self.next_never_load = 0  # so many of the pods that start from now on
        self.never_load: set[str] = set()  # these did
        self.busy_percent: int | None = None  # of every GPU; None: as its server's slots are
        self.gpu_count = 1  # that each sidecar sees
        self.visible_devices: str | None = None  # None: the first one's UUID
        self.sidecar_arguments: Callable[[Json], list[str]] = lambda _: []
        self.folder = folder
        self._ending: list[LlmPod] = []
        self._kubelet = kubelet
        self._session = session

    def ready(self) -> list[LlmPod]:
        """The pods whose model server answers, as a Service would choose them."""
        return [pod for pod in self.pods.values() if pod.ready]

    async def start(self, pod: Json) -> None:
        """Hook: the containers of a pod start."""
        name, ip = pod["metadata"]["name"], pod["status"]["podIP"]
        folder = self.folder / name
        folder.mkdir()
        gpus = FakeGpus(folder, self.gpu_count)
        uid = pod["metadata"]["uid"]
        made = LlmPod(
            name,
            pod["metadata"]["namespace"],
            ip,
            gpus,
            self._model(name, ip, folder),
            self._sidecar(pod, ip, uid, folder, gpus),
        )
        made.model.start()
        made.sidecar.start()
        self.pods[name] = made
        made.probe = asyncio.create_task(self._follow(made))

    async def restart(self, pod: Json) -> None:
        """Hook: the model container ended and starts again, cold."""
        found = self.pods[pod["metadata"]["name"]]
        if found.probe is not None:
            found.probe.cancel()
        found.ready = False
        await asyncio.to_thread(found.model.kill)
        found.model.start()
        found.probe = asyncio.create_task(self._follow(found))

    async def stop(self, pod: Json) -> None:
        """Hook: a pod was deleted or has ended."""
        found = self.pods.pop(pod["metadata"]["name"], None)
        if found is not None:
            self._ending.append(found)  # the test may be over, and this cancelled, before it has
            await self._end(found)
            self._ending.remove(found)

    async def metrics(self, name: str) -> str:
        """One sidecar's own metrics."""
        url = f"http://{self.pods[name].ip}:{SIDECAR_PORT}/metrics"
        async with self._session.get(url, timeout=TIMEOUT) as answer:
            return await answer.text()

    async def close(self) -> None:
        """End everything that still runs."""
        self._ending += [self.pods.pop(name) for name in list(self.pods)]
        for pod in list(self._ending):
            await self._end(pod)

    async def _end(self, found: LlmPod) -> None:
        if found.probe is not None:
            found.probe.cancel()
        await asyncio.to_thread(found.model.stop, timeout_seconds=8.0)
        await asyncio.to_thread(found.sidecar.stop, timeout_seconds=2.0)

    def _model(self, name: str, ip: str, folder: Path) -> Process:
        command = [part.format(ip=ip) for part in self.engine.command]
        if self.engine is FAKE_VLLM:
            command.append(f"--cold-start={self._cold_start(name)}")
        return Process(f"{name}-model", command, folder / "model.log", environment=environment())

    def _cold_start(self, name: str) -> float:
        if not self.next_never_load:
            return self.cold_start_seconds
        self.next_never_load -= 1
        self.never_load.add(name)
        return NEVER_SECONDS

    def _sidecar(self, pod: Json, ip: str, uid: str, folder: Path, gpus: FakeGpus) -> Process:
        command = [sys.executable, "-m", "sidecar", "--host", ip, "--port", str(SIDECAR_PORT)]
        command += ["--engine-url", f"http://{ip}:{self.engine.metrics_port}/metrics"]
        command += self.sidecar_arguments(pod)
        # The downward API's part of the manifest, and what a container runtime adds where it proves
        # whose the GPU is; without that part no GPU figure is published.
        own = {
            "POD_UID": uid,
            "NVIDIA_VISIBLE_DEVICES": self.visible_devices or gpus.uuids[0],
        }
        return Process(
            f"{pod['metadata']['name']}-sidecar",
            command,
            folder / "sidecar.log",
            environment=environment() | gpus.env() | own,
        )

    async def _follow(self, pod: LlmPod) -> None:
        """Be the readiness probe until the first success, then let the GPU follow the slots."""
        while await self._page(pod, self.engine.health) is None:
            await asyncio.sleep(PROBE_SECONDS)
        pod.ready = True
        pod.gpus.set(0, memory_used_bytes=70 * 2**30)
        with suppress(LookupError, RuntimeError):  # deleted meanwhile
            await self._kubelet.set_ready(pod.namespace, pod.name, is_ready=True)
        while True:
            page = await self._page(pod, "/metrics") or ""
            running = _figure(page, "vllm:num_requests_running")
            pod.waiting = _figure(page, "vllm:num_requests_waiting")
            slots = round(100 * running / SLOTS)
            pod.gpus.set(0, busy_percent=slots if self.busy_percent is None else self.busy_percent)
            await asyncio.sleep(PROBE_SECONDS)

    async def _page(self, pod: LlmPod, path: str) -> str | None:
        try:
            async with self._session.get(pod.url + path, timeout=TIMEOUT) as answer:
                return await answer.text() if answer.ok else None
        except (aiohttp.ClientError, TimeoutError):
            return None


def _figure(page: str, name: str) -> float:
    for line in page.splitlines():
        if line.startswith(name):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def environment() -> dict[str, str]:
    """What a process of the test inherits."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)}
