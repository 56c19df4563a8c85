"""The sample: one tick's readings, the frame made of them, and when it is news."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.life import Life
from sidecar.wire import (
    SCHEMA,
    Ages,
    Attribution,
    Backlog,
    EngineReading,
    Frame,
    GpuReading,
    Held,
    Oom,
    Phases,
)

# Dead bands: below them a figure's move is noise to a scaling rule, above them it is news.
# NVML counts whole percents; a GPU idles within a watt or two.
PERCENT_BAND = 1.0
MEMORY_BAND_RATIO = 0.005
POWER_BAND_WATTS = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known now; nothing before the first tick.

    `*_taken_at` is the clock at that reading, None without one.
    """

    engine: EngineReading | None = None
    engine_taken_at: float | None = None
    gpus: tuple[GpuReading, ...] | None = None
    gpu_taken_at: float | None = None
    attribution: Attribution | None = None
    visible: tuple[GpuReading, ...] | None = None
    held: tuple[Held, ...] | None = None
    held_taken_at: float | None = None
    oom: Oom | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change while the sidecar runs."""

    boot: str
    uid: str | None
    period_seconds: float
    started_at: float
    server_started_at: float | None = None  # the model server, where our wrapper started it
    release: str | None = None


def frame(
    sample: Sample,
    identity: Identity,
    *,
    seq: int,
    now: float,
    life: Life,
    backlog: Backlog | None = None,
) -> Frame:
    """Return the sample as it goes on the wire, with ages at `now`."""
    return Frame(
        schema=SCHEMA,
        boot=identity.boot,
        seq=seq,
        period_seconds=identity.period_seconds,
        uid=identity.uid,
        age_seconds=_ages(sample, now),
        engine=sample.engine,
        gpus=sample.gpus,
        visible=sample.visible,
        held=sample.held,
        attribution=sample.attribution,
        oom=sample.oom,
        phases=Phases(
            sidecar_started_age_seconds=_age(identity.started_at, now),
            engine_first_ready_age_seconds=_age(life.ready_at, now),
            engine_listening_age_seconds=_age(life.listening_at, now),
            engine_loading_age_seconds=_age(life.loading_at, now),
            engine_first_served_age_seconds=_age(life.served_at, now),
            server_started_age_seconds=_age(identity.server_started_at, now),
        ),
        backlog=backlog,
        release=identity.release,
    )


def _ages(sample: Sample, now: float) -> Ages:
    return Ages(
        engine=_age(sample.engine_taken_at, now),
        gpu=_age(sample.gpu_taken_at, now),
        held=_age(sample.held_taken_at, now),
    )


def _age(then: float | None, now: float) -> float | None:
    return None if then is None else round(max(0.0, now - then), 3)


def differs(sent: Sample, current: Sample) -> bool:
    """Tell whether a reader of the frame sent last would want this one before the heartbeat."""
    return (
        _engine_differs(sent.engine, current.engine)
        or _gpus_differ(sent.gpus, current.gpus)
        or _gpus_differ(sent.visible, current.visible)
        or (sent.attribution, sent.held) != (current.attribution, current.held)
        or _near(sent.oom) != _near(current.oom)
    )


def _engine_differs(then: EngineReading | None, now: EngineReading | None) -> bool:
    """Counters and histograms alone are no news: they move with every request served."""
    if then is None or now is None:
        return then is not now
    return (
        (then.kind, then.state, then.why, then.dims) != (now.kind, now.state, now.why, now.dims)
        or (then.pending, then.running) != (now.pending, now.running)
        or _moved(then.kv_percent, now.kv_percent, PERCENT_BAND)
    )


def _gpus_differ(
    sent: tuple[GpuReading, ...] | None, current: tuple[GpuReading, ...] | None
) -> bool:
    if sent is None or current is None:
        return sent is not current
    if [gpu.uuid for gpu in sent] != [gpu.uuid for gpu in current]:
        return True
    return any(_gpu_differs(then, now) for then, now in zip(sent, current, strict=True))


def _near(oom: Oom | None) -> bool | None:
    return None if oom is None else oom.near


def _gpu_differs(then: GpuReading, now: GpuReading) -> bool:
    """Clocks, energy and growth alone are no news: nobody scales on them."""
    memory_band = MEMORY_BAND_RATIO * (now.memory_total_bytes or 0)
    return (
        _moved(then.busy_percent, now.busy_percent, PERCENT_BAND)
        or _moved(then.tensor_percent, now.tensor_percent, PERCENT_BAND)
        or _moved(then.dram_percent, now.dram_percent, PERCENT_BAND)
        or (then.healthy, then.stuck, then.shared) != (now.healthy, now.stuck, now.shared)
        or _moved(then.memory_used_bytes, now.memory_used_bytes, memory_band)
        or then.memory_total_bytes != now.memory_total_bytes
        or _moved(then.power_watts, now.power_watts, POWER_BAND_WATTS)
    )


def _moved(then: float | None, now: float | None, band: float) -> bool:
    if then is None or now is None:
        return then is not now
    return then != now and abs(now - then) >= band
