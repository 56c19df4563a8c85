"""The wire contract: what one frame of a sidecar's stream says, and how it is encoded.

Every field but the identity ones is optional. None (absent on the wire) means "not known", never 0.
The contract is additive: a reader ignores fields it does not know, and reads its own schema and the
two before it. Ages are seconds on the sidecar's monotonic clock at the moment the frame is written;
wall clocks are never sent, since nodes disagree about them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

SCHEMA = 1
OLDEST_READABLE_SCHEMA = max(1, SCHEMA - 2)

# One frame is about 1 KB and a full backlog about 20 KB; ten times that is no frame of ours.
MAX_FRAME_BYTES = 256 * 1024
MAX_GPUS = 256  # sixteen GPUs of seven MIG instances each are 112

# `gc=False`, here and below: what was decoded is never part of a cycle, and an adapter holds
# thousands of these, which a collection would visit one by one.


class EngineState(StrEnum):
    """What the sidecar knows of the model server."""

    NONE = "none"  # no model server is configured or found; GPU figures only
    LOADING = "loading"  # it has not answered once in this container's life, or nothing listens
    READY = "ready"  # the last reading succeeded
    FAILING = "failing"  # it answered in this life and is still there, the last reading failed


class Histogram(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A cumulative Prometheus histogram: `counts[i]` observations were <= `bounds[i]`.

    The last bound is +Inf and is not sent: `counts` is one longer than `bounds`.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float | None = None


class EngineReading(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The model server's queue; counts are requests, `_total` are counters since its start."""

    kind: str  # row of the engine table, such as "vllm"; "none" without one
    state: EngineState
    why: str | None = None  # in words, when state is not READY or the page lacks the queue
    pending: float | None = None
    running: float | None = None
    kv_percent: float | None = None  # share of the KV cache in use, 0-100
    finished_total: float | None = None
    output_tokens_total: float | None = None
    preemptions_total: float | None = None
    hist: dict[str, Histogram] | None = None
    dims: dict[str, str] | None = None  # model, lora, role: each only where it is the page's one
    estimate: str | None = None  # why the queue is a stand-in for one that the engine does not tell


class MigInstance(msgspec.Struct, frozen=True, gc=False):
    """Where a MIG instance lies: its GPU, and NVML's ids of the GPU and the compute instance."""

    parent: str
    gpu_instance: int
    compute_instance: int


class GpuReading(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One GPU or MIG instance as NVML sees it; a field is None where NVML declined that call.

    A MIG instance has figures of its own or none: the load of its GPU is also its neighbours'.
    """

    uuid: str
    busy_percent: float | None = None  # NVML utilization.gpu, 0-100; on MIG GPM's graphics activity
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_watts: float | None = None
    memory_free_bytes: int | None = None  # what can still be allocated: the driver's part is not
    memory_growth_bytes_per_second: float | None = None  # over the last minute; may be negative
    tensor_percent: float | None = None  # GPM: share of time the tensor cores worked, 0-100
    dram_percent: float | None = None  # GPM: share of the memory bandwidth in use, 0-100
    sm_percent: float | None = None  # GPM: share of the multiprocessors that were busy, 0-100
    energy_joules_total: float | None = None  # since the driver was loaded
    power_limit_watts: float | None = None
    sm_clock_mhz: float | None = None
    throttle: tuple[str, ...] | None = None  # what slows its clocks now; () is nothing
    ecc_uncorrected_total: int | None = None  # since the driver was loaded
    remapped_rows_total: int | None = None  # in the GPU's life, for corrected and other errors
    healthy: bool | None = None  # False when NVML reported a fault; None where it reports none ever
    why: str | None = None  # in words, when something is wrong or withheld
    mig: MigInstance | None = None
    shared: bool = False  # others may use it at the same time: time-slicing, MPS, compute instances
    stuck: bool = False  # NVML's utilisation was left out, since the GPU does nothing
    minor: int | None = None  # of /dev/nvidia<minor>: the same on the node and in every container
    index: int | None = None  # NVML's, counted over what this container sees
    name: str | None = None  # NVML's product name, such as "NVIDIA H100 80GB HBM3"


class Oom(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Whether the KV cache or the GPU's memory is about to be full, and in words by what."""

    near: bool
    why: str | None = None


class Attribution(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How the GPUs were found to be this pod's; `how` is None when that could not be proven."""

    how: str | None = None
    why: str | None = None
    scope: str | None = None  # where NVML runs; None is a container of its own beside the model's


CONTAINER = "container"  # the model's own
NODE = "node"  # an agent's, which shows the whole node


class Held(msgspec.Struct, frozen=True, gc=False):
    """One pod of the node and the ids of the GPUs that it holds, as the kubelet spells them."""

    namespace: str
    pod: str
    devices: tuple[str, ...]


class Ages(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Seconds since each reading was taken; None when there is no such reading."""

    engine: float | None = None
    gpu: float | None = None
    held: float | None = None


class Phases(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Seconds since each start-up event was first seen; None when it has not happened.

    Those of the engine are of the model server's present life. One that listens only once its model
    is loaded, as vLLM does, is never seen loading.
    """

    sidecar_started_age_seconds: float | None = None
    engine_first_ready_age_seconds: float | None = None  # its page was read: the model is loaded
    engine_listening_age_seconds: float | None = None  # it took a connection
    engine_loading_age_seconds: float | None = None  # it listened and had no figures yet
    engine_first_served_age_seconds: float | None = None  # its counters had moved
    server_started_age_seconds: float | None = None  # by our wrapper; None without it


class Backlog(msgspec.Struct, frozen=True, omit_defaults=True):
    """The recent past in columns: one value per step, oldest first, None where nothing was read.

    The last column's step ended `age_seconds` ago. `series` names are those of `SERIES` and, for
    counters, of `TOTALS`; each value is the mean over the readings of its step.
    """

    step_seconds: float
    age_seconds: float
    series: dict[str, tuple[float | None, ...]]


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of `/v1/stream`, and the whole answer of `/v1/sample`."""

    schema: int
    boot: str  # changes when the sidecar restarts; `seq` starts again with it
    seq: int
    period_seconds: float  # a frame comes at the latest this often
    uid: str | None = None  # metadata.uid of the pod, from the downward API
    age_seconds: Ages | None = None
    engine: EngineReading | None = None
    gpus: tuple[GpuReading, ...] | None = None
    visible: tuple[GpuReading, ...] | None = None  # seen here, whose they are is not proven here
    held: tuple[Held, ...] | None = None  # by a node agent: who holds which of the visible ones
    attribution: Attribution | None = None
    oom: Oom | None = None  # None when nothing tells
    phases: Phases | None = None
    backlog: Backlog | None = None
    release: str | None = None  # of the sidecar, such as 0.1.0


class WireError(ValueError):
    """A frame that cannot be used; the text says what is wrong with it."""


# The per-pod levels that are smoothed and served; the adapter's windows hold one row for each.
SERIES = (
    "gpu_busy_percent",  # mean over the pod's GPUs
    "gpu_memory_percent",  # used / total, summed over the pod's GPUs
    "gpu_memory_used_bytes",
    "gpu_power_watts",
    "gpu_tensor_percent",  # mean over the pod's GPUs, as the next
    "gpu_dram_percent",
    "gpu_health",  # 0 when one of the pod's GPUs is not healthy, 1 when all are
    "pending",
    "running",
    "inflight",  # pending + running, only where both are known
    "kv_percent",
)

# The model server's counters of requests and tokens; their speeds are served.
TOTALS = ("finished_total", "output_tokens_total", "preemptions_total")

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    """Return the frame as one line of JSON, newline included."""
    return _encoder.encode(frame) + b"\n"


def decode(line: bytes) -> Frame:
    """Return the frame of one line; raise WireError when it is broken or of a foreign schema."""
    if len(line) > MAX_FRAME_BYTES:
        raise WireError(f"the frame has {len(line)} bytes, the limit is {MAX_FRAME_BYTES}")
    try:
        frame = _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:  # nested without end, if hostile
        raise WireError(f"not a frame: {error}") from error
    if not OLDEST_READABLE_SCHEMA <= frame.schema <= SCHEMA:
        raise WireError(
            f"schema {frame.schema} is not readable here"
            f" (this adapter reads {OLDEST_READABLE_SCHEMA} to {SCHEMA}): update the adapter first"
        )
    if max(len(frame.gpus or ()), len(frame.visible or ())) > MAX_GPUS:
        raise WireError(f"the frame has more than {MAX_GPUS} GPUs")
    return frame


def levels(frame: Frame) -> dict[str, float]:
    """Return the series of `SERIES` that this frame has a value for."""
    found = _engine_levels(frame.engine)
    if frame.gpus:
        found |= _gpu_levels(frame.gpus)
    return {name: value for name, value in found.items() if value is not None}


def totals(frame: Frame) -> dict[str, float]:
    """Return the counters of `TOTALS` that this frame has a value for."""
    engine = frame.engine
    if engine is None or engine.state is not EngineState.READY:
        return {}
    found = {name: getattr(engine, name) for name in TOTALS}
    return {name: value for name, value in found.items() if value is not None}


def _engine_levels(engine: EngineReading | None) -> dict[str, float | None]:
    if engine is None or engine.state is not EngineState.READY:
        return {}
    known = engine.pending is not None and engine.running is not None
    return {
        "pending": engine.pending,
        "running": engine.running,
        "inflight": (engine.pending or 0.0) + (engine.running or 0.0) if known else None,
        "kv_percent": engine.kv_percent,
    }


def _gpu_levels(gpus: tuple[GpuReading, ...]) -> dict[str, float | None]:
    """Fold the pod's GPUs into one level each.

    A mean or a share is taken over the GPUs that answered; a sum is None unless all of them did,
    since a part of a sum is a lower figure that nobody could tell from a fall.
    """
    power = [g.power_watts for g in gpus if g.power_watts is not None]
    memory = [
        (g.memory_used_bytes, g.memory_total_bytes)
        for g in gpus
        if g.memory_used_bytes is not None and g.memory_total_bytes
    ]
    used = sum(used for used, _ in memory)
    total = sum(total for _, total in memory)
    return {
        "gpu_busy_percent": _mean([g.busy_percent for g in gpus]),
        "gpu_memory_percent": 100.0 * used / total if memory else None,
        "gpu_memory_used_bytes": float(used) if len(memory) == len(gpus) else None,
        "gpu_power_watts": sum(power) if len(power) == len(gpus) else None,
        "gpu_tensor_percent": _mean([g.tensor_percent for g in gpus]),
        "gpu_dram_percent": _mean([g.dram_percent for g in gpus]),
        "gpu_health": _health([g.healthy for g in gpus]),
    }


def _mean(figures: list[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if known else None


def _health(verdicts: list[bool | None]) -> float | None:
    """One bad GPU is known to be bad; that all are well is known only when each one said so."""
    if False in verdicts:
        return 0.0
    return 1.0 if verdicts and all(verdicts) else None
