"""The headroom: how fast GPU memory fills, and whether the model server is about to run out.

Servers such as vLLM take nearly all memory at their start and fill it from inside: then device
memory stands still at 90 percent or more and says nothing, and the KV cache and the preemptions
do. Others allocate as they go: there the growth of device memory tells.
"""

from __future__ import annotations

from collections import deque

from msgspec import structs

from sidecar.wire import EngineReading, EngineState, GpuReading, Oom

WINDOW_SECONDS = 60.0
LEAST_SECONDS = 8.0  # a growth over less is one allocation, not a trend
# Above it vLLM's own scheduler has to preempt to go on; saturation is said from 80 percent on.
KV_NEAR_PERCENT = 95.0
# A GPU counts when this little is left and the growth of the last minute fills it within a minute.
FREE_NEAR_RATIO = 0.05
FULL_WITHIN_SECONDS = 60.0

Points = deque[tuple[float, float]]


class Headroom:
    """Remembers a minute of each GPU's memory and of the server's preemptions."""

    def __init__(self) -> None:
        self._used: dict[str, Points] = {}
        self._preempted: Points = deque()

    def grown(self, gpus: tuple[GpuReading, ...], now: float) -> tuple[GpuReading, ...]:
        """Return the GPUs with the growth of their memory: (newest - oldest) / time, in bytes/s."""
        self._used = {gpu.uuid: self._used.get(gpu.uuid, deque()) for gpu in gpus}
        return tuple(self._grown(gpu, now) for gpu in gpus)

    def outlook(
        self, gpus: tuple[GpuReading, ...], engine: EngineReading | None, now: float
    ) -> Oom | None:
        """Return whether running out of memory is near, and why; None when nothing tells."""
        preempted = self._preemptions(engine, now)
        kv = engine.kv_percent if engine and engine.state is EngineState.READY else None
        growing = [gpu for gpu in gpus if gpu.memory_growth_bytes_per_second is not None]
        if preempted is None and kv is None and not growing:
            return None
        if preempted:
            return Oom(
                near=True, why=f"{preempted:g} requests were preempted within {WINDOW_SECONDS:g} s"
            )
        if engine and kv is not None and kv >= KV_NEAR_PERCENT and (engine.pending or 0) > 0:
            return Oom(near=True, why=f"the KV cache is {kv:g} % full and requests wait")
        full = next((gpu for gpu in growing if _fills(gpu)), None)
        if full:
            return Oom(near=True, why=f"the memory of {full.uuid} is full within a minute")
        return Oom(near=False)

    def _grown(self, gpu: GpuReading, now: float) -> GpuReading:
        points = self._used[gpu.uuid]
        if gpu.memory_used_bytes is None:
            points.clear()
            return gpu
        _append(points, now, gpu.memory_used_bytes)
        (then, before), seconds = points[0], now - points[0][0]
        if seconds < LEAST_SECONDS or then == now:
            return gpu
        growth = round((gpu.memory_used_bytes - before) / seconds, 1)
        return structs.replace(gpu, memory_growth_bytes_per_second=growth)

    def _preemptions(self, engine: EngineReading | None, now: float) -> float | None:
        """Return how many requests were preempted within the window; a restart counts from 0."""
        total = engine.preemptions_total if engine else None
        if engine is None or engine.state is not EngineState.READY or total is None:
            self._preempted.clear()
            return None
        if self._preempted and total < self._preempted[-1][1]:
            self._preempted.clear()
        _append(self._preempted, now, total)
        return total - self._preempted[0][1]


def _append(points: Points, now: float, value: float) -> None:
    points.append((now, value))
    while now - points[0][0] > WINDOW_SECONDS:
        points.popleft()


def _fills(gpu: GpuReading) -> bool:
    growth, free, total = (
        gpu.memory_growth_bytes_per_second or 0.0,
        gpu.memory_free_bytes,
        gpu.memory_total_bytes,
    )
    if growth <= 0 or free is None or not total:
        return False
    return free <= FREE_NEAR_RATIO * total and free <= growth * FULL_WITHIN_SECONDS
