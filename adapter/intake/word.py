"""The word of a frame: what a sidecar says beside its figures, each thing within its caps."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from adapter.model.word import NO_GPUS, SILENT, Gpus, Phases, Word
from sidecar import wire

LONGEST_LIFE_SECONDS = 30 * 86_400.0  # a start that is older teaches nothing
MAX_WORD_CHARACTERS = 200  # a tenant's words end up in the events of an HPA


def memory(gpu: wire.GpuReading) -> float | None:
    """Return the used share of one GPU's memory, in percent."""
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    return 100.0 * used / total if used is not None and total else None


# What a GPU must tell to have its part in each level of its pod.
_FIGURES: dict[str, Callable[[wire.GpuReading], object]] = {
    "gpu_busy_percent": attrgetter("busy_percent"),
    "gpu_memory_percent": memory,
    "gpu_memory_used_bytes": memory,
    "gpu_power_watts": attrgetter("power_watts"),
    "gpu_tensor_percent": attrgetter("tensor_percent"),
    "gpu_dram_percent": attrgetter("dram_percent"),
    "gpu_health": attrgetter("healthy"),
}
_ONE = Gpus(1)


def told(frame: wire.Frame, at: float) -> Word:
    """Return what the frame, received at monotonic `at`, says beside its figures."""
    engine, oom = frame.engine, frame.oom
    estimate = engine.estimate if engine else None
    if frame.phases is None and estimate is None and oom is None:
        return SILENT
    return Word(
        _phases(frame.phases, at) if frame.phases else Phases(),
        _cut(estimate),
        oom.near if oom else None,
        _cut(oom.why) if oom else None,
    )


def gpus(found: tuple[wire.GpuReading, ...] | None) -> Gpus:
    """Return how many GPUs there are, and of how many a figure is missing that others have."""
    if not found:
        return NO_GPUS
    count = len(found)
    if count == 1:  # nearly every pod
        return _ONE
    missing = {
        series: [figure(gpu) for gpu in found].count(None) for series, figure in _FIGURES.items()
    }
    return Gpus(count, {series: n for series, n in missing.items() if 0 < n < count})


def _phases(told: wire.Phases, at: float) -> Phases:
    ages = (
        told.sidecar_started_age_seconds,
        told.engine_listening_age_seconds,
        told.engine_loading_age_seconds,
        told.engine_first_ready_age_seconds,
        told.engine_first_served_age_seconds,
    )
    return Phases(*(_since(age, at) for age in ages))


def _since(age: float | None, at: float) -> float | None:
    return at - age if age is not None and 0 <= age <= LONGEST_LIFE_SECONDS else None


def _cut(words: str | None) -> str | None:
    return words[:MAX_WORD_CHARACTERS] if words else None
