"""The poll: reads engine and GPUs on their ticks and publishes a frame when there is news."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sidecar import life, wire
from sidecar.attribute import Attributed, Claim, attribute
from sidecar.changes import Changes
from sidecar.gpu import GpuRead, Gpus
from sidecar.headroom import Headroom
from sidecar.life import Life
from sidecar.modelserver import EngineRead, ModelServer
from sidecar.podresources import PodResources
from sidecar.ring import Ring
from sidecar.sample import Identity, Sample, differs, frame
from sidecar.sharing import WITHHELD, SharedGpu, withheld
from sidecar.stuck import Stuck
from sidecar.telemetry import Telemetry
from sidecar.wire import Attribution, EngineReading, EngineState, Frame, GpuReading

# A GPU reading takes some milliseconds: the frame of its tick waits this long for it, so that both
# readings go out together; a slower one goes out with the next frame.
ALIGN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Periods:
    """How often, in seconds: a queue reading, a GPU reading, and at the latest a frame."""

    engine_seconds: float
    gpu_seconds: float
    heartbeat_seconds: float


class Poller:
    """Owns the current sample; `publish` takes each frame, encoded once."""

    def __init__(
        self,
        *,
        identity: Identity,
        periods: Periods,
        server: ModelServer,
        gpus: Gpus,
        proven: Callable[[], Claim],
        shared_gpu: SharedGpu = SharedGpu.WITHHOLD,
        holders: PodResources | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identity
        self._periods = periods
        self._server = server
        self._gpus = gpus
        self._proven = proven
        self._shared_gpu = shared_gpu
        self._holders = holders
        self._clock = clock
        self._changes = Changes()
        self._stuck = Stuck()
        self._headroom = Headroom()
        self._ring = Ring(identity.started_at)
        self._sample = self._sent = Sample()
        self._sent_at = identity.started_at
        self._seq = 0
        self._life = Life()
        self._told: EngineReading | None = None  # the last reading that succeeded
        self._gpu_due_at = identity.started_at
        self._gpu_read: asyncio.Task[GpuRead] | None = None
        self._restarts = 0

    def frame(self) -> Frame:
        """Return the current sample as a frame of now."""
        return self._frame(self._clock(), with_backlog=False)

    def driver(self) -> str | None:
        """Return the NVIDIA driver's version, None while it is not known."""
        return self._gpus.driver

    def first_frame(self) -> Frame:
        """Return what a new reader gets first: the current sample and the recent past."""
        return self._frame(self._clock(), with_backlog=True)

    async def run(self, publish: Callable[[bytes], None], telemetry: Telemetry) -> None:
        """Tick until cancelled; a tick that came late is not made up for."""
        due_at = self._clock()
        try:
            while True:
                await self.tick(publish, telemetry)
                due_at = max(due_at + self._periods.engine_seconds, self._clock())
                await asyncio.sleep(due_at - self._clock())
        finally:
            if self._gpu_read:
                self._gpu_read.cancel()

    async def tick(self, publish: Callable[[bytes], None], telemetry: Telemetry) -> None:
        """Read what is due, keep it, and publish a frame when it differs or the heartbeat came."""
        before = self._sample
        self._begin_gpu_read()
        engine = await self._read_engine(publish, telemetry)
        self._take_engine(engine, telemetry)
        if self._gpu_read:
            await _done(self._gpu_read, ALIGN_SECONDS)
            self._take_gpus(telemetry)
        self._look_ahead(before)
        current = self.frame()
        self._ring.add(self._clock(), wire.levels(current) | wire.totals(current))
        if self._late() or differs(self._sent, self._sample):
            self._send(publish, telemetry)

    async def _read_engine(
        self, publish: Callable[[bytes], None], telemetry: Telemetry
    ) -> EngineRead:
        """Read the page; while it is slow, the heartbeats go on with the last reading.

        They say its growing age, and the GPUs, which are read meanwhile.
        """
        reading = asyncio.ensure_future(self._server.read())
        try:
            while not await _done(reading, self._heartbeat_at() - self._clock() + ALIGN_SECONDS):
                self._take_gpus(telemetry)
                self._begin_gpu_read()
                self._send(publish, telemetry)
            return reading.result()
        finally:
            reading.cancel()

    def _heartbeat_at(self) -> float:
        return self._sent_at + self._periods.heartbeat_seconds

    def _late(self) -> bool:
        """Tell whether the next tick would be too late for the heartbeat."""
        next_tick_at = self._clock() + self._periods.engine_seconds
        return next_tick_at > self._heartbeat_at() + ALIGN_SECONDS

    def _send(self, publish: Callable[[bytes], None], telemetry: Telemetry) -> None:
        self._seq += 1
        self._sent, self._sent_at = self._sample, self._clock()
        telemetry.frames.inc()
        publish(wire.encode(self.frame()))

    def _frame(self, now: float, *, with_backlog: bool) -> Frame:
        return frame(
            self._sample,
            self._identity,
            seq=self._seq,
            now=now,
            life=self._life,
            backlog=self._ring.backlog(now) if with_backlog else None,
        )

    def _take_engine(self, read: EngineRead, telemetry: Telemetry) -> None:
        self._life = life.after(self._life, self._told, read, self._clock())
        if read.reading.state is EngineState.READY:
            self._told = read.reading
        telemetry.count_engine(read)
        self._changes.engine(self._sample, read)
        self._sample = replace(self._sample, engine=read.reading, engine_taken_at=read.taken_at)

    def _begin_gpu_read(self) -> None:
        """Start a reading at its time; a tick a little before or after the time is on time."""
        now = self._clock()
        if self._gpu_read is None and now + ALIGN_SECONDS >= self._gpu_due_at:
            on_time = max(self._gpu_due_at, now - ALIGN_SECONDS)
            self._gpu_due_at = on_time + self._periods.gpu_seconds
            self._gpu_read = asyncio.create_task(self._gpus.read())

    def _take_gpus(self, telemetry: Telemetry) -> None:
        """Keep the GPU reading that is under way, if it is done."""
        if self._gpu_read is None or not self._gpu_read.done():
            return
        read, self._gpu_read = self._gpu_read.result(), None
        telemetry.count_gpus(read, self._gpus.restarts - self._restarts)
        self._restarts = self._gpus.restarts
        found = Attributed(None, None, Attribution(why=read.why))
        if read.gpus is not None:
            found = self._judged(attribute(read.gpus, self._proven()))
        before = self._sample
        self._sample = replace(
            before,
            gpus=found.gpus,
            visible=found.visible,
            gpu_taken_at=read.taken_at,
            attribution=found.attribution,
            held=self._holders.held if self._holders else None,
            held_taken_at=self._holders.taken_at if self._holders else None,
        )
        self._changes.gpus(before, self._sample, self._gpus.driver)

    def _judged(self, found: Attributed) -> Attributed:
        """Return it without the figures that are withheld or not believed."""
        gpus = None if found.gpus is None else withheld(found.gpus, self._shared_gpu)
        if found.gpus is not None and gpus is None:
            return Attributed(None, None, Attribution(why=WITHHELD))
        return found._replace(gpus=self._seen(gpus), visible=self._seen(found.visible))

    def _seen(self, gpus: tuple[GpuReading, ...] | None) -> tuple[GpuReading, ...] | None:
        if gpus is None:
            return None
        now = self._clock()
        return self._headroom.grown(self._stuck.judge(gpus, self._sample.engine, now), now)

    def _look_ahead(self, before: Sample) -> None:
        sample = self._sample
        oom = self._headroom.outlook(sample.gpus or (), sample.engine, self._clock())
        self._sample = replace(sample, oom=oom)
        self._changes.faults(before, self._sample)


async def _done(task: asyncio.Future[EngineRead] | asyncio.Future[GpuRead], seconds: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=max(ALIGN_SECONDS, seconds))
    return bool(done)
