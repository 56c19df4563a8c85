"""The stuck utilisation: a driver that goes on saying 100 percent of a GPU that does nothing.

Seen after a kernel was killed (the figure stays until the next one ends), on idle GPUs without
persistence mode, and of model servers that spin while they wait. An HPA would scale out for ever.
"""

from __future__ import annotations

from msgspec import structs

from sidecar.wire import EngineReading, EngineState, GpuReading

FULL_PERCENT = 99.0
# A prefill of a long prompt is over by then; a real load at 99 % does not draw idle power at all.
STUCK_SECONDS = 30.0
# Of the power limit: an idle H100 draws 10 %, an idle T4 15 %, and both over 40 % when they work.
IDLE_POWER_RATIO = 0.25
IDLE_SM_PERCENT = 1.0
WHY = "the driver says that it is full, though it draws idle power and serves nothing: stuck"


class Stuck:
    """Remembers since when each GPU has been full and idle at the same time."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def judge(
        self, gpus: tuple[GpuReading, ...], engine: EngineReading | None, now: float
    ) -> tuple[GpuReading, ...]:
        """Return the GPUs; a utilisation that cannot be true is taken out, and said in words."""
        doubted = {gpu.uuid for gpu in gpus if _contradicts_itself(gpu, engine)}
        self._since = {uuid: self._since.get(uuid, now) for uuid in doubted}
        return tuple(self._judged(gpu, now) for gpu in gpus)

    def _judged(self, gpu: GpuReading, now: float) -> GpuReading:
        since = self._since.get(gpu.uuid)
        if since is None or now - since < STUCK_SECONDS:
            return gpu
        return structs.replace(gpu, busy_percent=None, stuck=True, why=gpu.why or WHY)


def _contradicts_itself(gpu: GpuReading, engine: EngineReading | None) -> bool:
    """Two witnesses are needed: the power, and GPM's multiprocessors or the model server."""
    if gpu.busy_percent is None or gpu.busy_percent < FULL_PERCENT:
        return False
    if gpu.power_watts is None or not gpu.power_limit_watts:
        return False
    if gpu.power_watts >= IDLE_POWER_RATIO * gpu.power_limit_watts:
        return False
    if gpu.sm_percent is not None:
        return gpu.sm_percent < IDLE_SM_PERCENT
    served = engine is not None and engine.state is EngineState.READY
    return served and engine is not None and engine.running == 0 and not engine.pending
