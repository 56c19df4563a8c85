"""The light fleet: ten thousand streams from one process, each frame encoded by the wire itself.

`python -m bench.lightfleet PODS.json` serves every pod of the file on one listening socket, told
apart by the address that was called, until SIGTERM. A pod of `fleet.py` runs the sidecar's own poll
and serve code and costs ten times as much: with ten thousand of those the machine would be theirs.
What they say is the same: a frame each second where the pod is busy, each two seconds elsewhere,
with readings that carry the time they were taken (clock.py).
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

from bench import clock, fleet, page
from bench.pods import Sidecar
from sidecar import engines, wire

BUSY_SECONDS, QUIET_SECONDS, GPU_SECONDS = 1.0, 2.0, 2.0
ANY = "0.0.0.0"  # large.py has a network of its own, without the machine's interfaces
BACKLOG = 4096  # connections that wait to be taken: a thousand are opened in a second
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"


class Talk(asyncio.Protocol):
    """One stream: its head and a first frame when asked, then a frame each period."""

    def __init__(self, by_address: dict[str, Sidecar], engine: wire.EngineReading) -> None:
        self._by_address = by_address
        self._engine = engine
        self._boot = secrets.token_hex(8)
        self._seq = 0
        self._gpu_at = -GPU_SECONDS
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream needs a TCP transport")
        self._transport = transport
        self._pod = self._by_address[transport.get_extra_info("sockname")[0]]

    def data_received(self, _: bytes) -> None:
        if self._due is None:
            self._transport.write(HEAD)
            self._speak(random.random())  # noqa: S311 - a phase

    def connection_lost(self, _: Exception | None) -> None:
        if self._due is not None:
            self._due.cancel()

    def _speak(self, share: float = 1.0) -> None:
        self._transport.write(wire.encode(self._frame(time.monotonic())))
        period = BUSY_SECONDS if self._pod.busy else QUIET_SECONDS
        self._due = asyncio.get_running_loop().call_later(share * period, self._speak)

    def _frame(self, now: float) -> wire.Frame:
        self._seq += 1
        if now - self._gpu_at >= GPU_SECONDS:
            self._gpu_at = now
        pending = float(int(now * 10) % 50) if self._pod.busy else 3.0
        kv = clock.kv_percent(now)
        gpu = wire.GpuReading(
            fleet.GPU,
            busy_percent=50.0 + int(self._gpu_at) % 40,
            memory_used_bytes=clock.gpu_bytes(self._gpu_at),
            memory_total_bytes=fleet.GPU_BYTES,
            power_watts=300.0,
        )
        return wire.Frame(
            wire.SCHEMA,
            self._boot,
            self._seq,
            QUIET_SECONDS,
            uid=self._pod.uid,
            age_seconds=wire.Ages(engine=0.0, gpu=now - self._gpu_at),
            engine=msgspec.structs.replace(self._engine, pending=pending, kv_percent=kv),
            gpus=(gpu,),
            attribution=wire.Attribution(how=fleet.OWN.how, why=fleet.OWN.why),
        )


async def run(pods: list[Sidecar]) -> None:
    """Serve all until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    engine = engines.parse(page.vllm(page.figures(3, 4, 1000)), "vllm").reading
    if engine is None:
        raise RuntimeError("the page of the bench has no vLLM figures")
    by_address = {pod.ip: pod for pod in pods}
    port = pods[0].port
    server = await loop.create_server(lambda: Talk(by_address, engine), ANY, port, backlog=BACKLOG)
    sys.stdout.write(f"{fleet.READY}\n")
    sys.stdout.flush()
    async with server:
        await stop.wait()


def main() -> None:
    pods = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=list[Sidecar])
    asyncio.run(run(pods))


if __name__ == "__main__":
    main()
