"""The fleet: many sidecars in one process, each with the sidecar's own poll and serve code.

`python -m bench.fleet PODS.json` serves one sidecar for each pod of the file on its own address, at
the sidecar's default ticks and with phases of their own, until SIGTERM. Only the two walls are
replaced: what the model server's page and NVML would say comes from the clock (see clock.py).
"""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import sys
import time
from pathlib import Path

import msgspec
from aiohttp import web

from bench import clock, page
from bench.pods import Sidecar
from sidecar import engines, serve
from sidecar.attribute import Claim
from sidecar.gpu import GpuRead, Gpus
from sidecar.modelserver import EngineRead, ModelServer
from sidecar.poll import Periods, Poller
from sidecar.sample import Identity
from sidecar.settings import load
from sidecar.streams import Streams
from sidecar.telemetry import Telemetry
from sidecar.wire import EngineReading, GpuReading

READY = "all sidecars listen"
GPU = "GPU-00000001-0000-4000-8000-000000000001"
GPU_BYTES = 85_520_809_984
OWN = Claim((GPU,), how="gpu-uuids", why="the setting gpu-uuids names them")


class ReplayedServer(ModelServer):
    """A model server's page as the parser read it once, with the queue of now."""

    def __init__(self, page_read: EngineReading, *, busy: bool) -> None:
        self._page_read = page_read
        self._busy = busy

    async def read(self) -> EngineRead:
        now = time.monotonic()
        pending = float(int(now * 10) % 50) if self._busy else 3.0
        reading = msgspec.structs.replace(
            self._page_read, pending=pending, kv_percent=clock.kv_percent(now)
        )
        return EngineRead(reading, seconds=0.003, taken_at=now)


class ReplayedGpus(Gpus):
    """One GPU as NVML would show it now."""

    def __init__(self, *, busy: bool) -> None:
        self.restarts = 0
        self._child = None
        self._busy = busy

    async def read(self) -> GpuRead:
        now = time.monotonic()
        percent = 50.0 + int(now) % 40 if self._busy else 70.0
        gpu = GpuReading(
            GPU,
            busy_percent=percent,
            memory_used_bytes=clock.gpu_bytes(now),
            memory_total_bytes=GPU_BYTES,
            power_watts=300.0,
        )
        return GpuRead((gpu,), seconds=0.001, taken_at=now)


def poller(pod: Sidecar, page_read: EngineReading) -> Poller:
    """Return the sidecar's own poller at the sidecar's own default ticks."""
    usual = load([], {}, "bench").settings
    periods = Periods(
        usual.engine_period_seconds, usual.gpu_period_seconds, usual.heartbeat_seconds
    )
    identity = Identity(
        secrets.token_hex(8), pod.uid, usual.heartbeat_seconds, started_at=time.monotonic()
    )
    return Poller(
        identity=identity,
        periods=periods,
        server=ReplayedServer(page_read, busy=pod.busy),
        gpus=ReplayedGpus(busy=pod.busy),
        proven=lambda: OWN,
    )


async def run_one(pod: Sidecar, page_read: EngineReading, listening: asyncio.Semaphore) -> None:
    """Serve one pod until cancelled, beginning at a moment of its own within a GPU tick."""
    await asyncio.sleep(random.uniform(0, 2.0))  # noqa: S311 - a phase
    polling = poller(pod, page_read)
    telemetry = Telemetry("bench", polling.frame)
    streams = Streams(telemetry)
    runner = web.AppRunner(serve.application(polling, streams, telemetry), access_log=None)
    await runner.setup()
    await web.SockSite(runner, serve.listen(pod.ip, pod.port)).start()
    listening.release()
    try:
        await polling.run(streams.publish, telemetry)
    finally:
        streams.close()


async def run(pods: list[Sidecar]) -> None:
    """Serve all until SIGTERM; raise what ended any of them."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    page_read = engines.parse(page.vllm(page.figures(3, 4, 1000)), "vllm").reading
    if page_read is None:
        raise RuntimeError("the page of the bench has no vLLM figures")
    listening = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(run_one(pod, page_read, listening)) for pod in pods]
    told = asyncio.create_task(_tell(listening, len(pods)))
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    for task in done - {stopping}:
        task.result()


async def _tell(listening: asyncio.Semaphore, count: int) -> None:
    for _ in range(count):
        await listening.acquire()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()


def main() -> None:
    pods = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=list[Sidecar])
    asyncio.run(run(pods))


if __name__ == "__main__":
    main()
