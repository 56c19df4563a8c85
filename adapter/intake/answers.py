"""The answers of Prometheus: its JSON as figures of pods, then as frames and columns. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from adapter.intake.frames import plausible
from adapter.model.batch import Column
from adapter.model.fleet import Pod, Standing
from adapter.model.freshness import FRESH_PERIODS
from sidecar import wire

PAST_SECONDS = 600  # what the windows hold
STEP_SECONDS = 10

PodKey = tuple[str, str]  # namespace, name
Steps = Mapping[int, float]  # Unix second of a step -> value


class Sampled(NamedTuple):
    """One pod's figure, and how old Prometheus says it is."""

    value: float
    age_seconds: float


def holder(series: Mapping[str, Any]) -> PodKey | None:
    """Return the pod that a series is of; None where its labels do not say."""
    metric = series.get("metric")
    if not isinstance(metric, dict):
        return None
    namespace, pod = metric.get("namespace"), metric.get("pod")
    if isinstance(namespace, str) and isinstance(pod, str) and namespace and pod:
        return namespace, pod
    return None


def last(series: Mapping[str, Any]) -> float | None:
    """Return the value of a series of an instant query; None where it has none."""
    found = _pair(series.get("value"))
    return None if found is None else found[1]


def steps(series: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    """Yield the steps of a series of a range query."""
    values = series.get("values")
    for raw in values if isinstance(values, list) else ():
        found = _pair(raw)
        if found is not None:
            yield round(found[0]), found[1]


def _pair(raw: object) -> tuple[float, float] | None:
    if not isinstance(raw, list) or len(raw) != 2:  # noqa: PLR2004 - time and value
        return None
    try:
        return float(raw[0]), float(raw[1])
    except (TypeError, ValueError):
        return None


def frame(figures: Mapping[str, Sampled], period_seconds: float) -> wire.Frame:
    """Return the frame that a sidecar would have sent; a reading is as old as its oldest figure."""
    ages = {
        part: max((figures[n].age_seconds for n in names if n in figures), default=None)
        for part, names in _PARTS.items()
    }
    values = {name: sampled.value for name, sampled in figures.items()}
    return wire.Frame(
        schema=wire.SCHEMA,
        boot="prometheus",
        seq=0,
        period_seconds=period_seconds,
        age_seconds=wire.Ages(ages["engine"], ages["gpu"]),
        engine=_engine(values, ages["engine"], period_seconds),
        gpus=_gpus(values) if ages["gpu"] is not None else None,
    )


_PARTS = {
    "engine": ("pending", "running", "kv_ratio"),
    "gpu": ("busy_percent", "used_bytes", "total_bytes", "power_watts"),
}


def _engine(
    values: Mapping[str, float], age_seconds: float | None, period_seconds: float
) -> wire.EngineReading | None:
    """A model server of which Prometheus has had nothing lately may be gone, or busy."""
    if age_seconds is None:
        return None
    fresh = age_seconds <= FRESH_PERIODS * period_seconds
    kv_ratio = values.get("kv_ratio")
    return wire.EngineReading(
        kind="prometheus",
        state=wire.EngineState.READY if fresh else wire.EngineState.FAILING,
        pending=values.get("pending"),
        running=values.get("running"),
        kv_percent=None if kv_ratio is None else 100.0 * kv_ratio,
        why=None if fresh else f"Prometheus has had no sample of it for {age_seconds:.0f} s",
    )


def _gpus(values: Mapping[str, float]) -> tuple[wire.GpuReading, ...]:
    return (
        wire.GpuReading(
            uuid="",
            busy_percent=values.get("busy_percent"),
            memory_used_bytes=_whole(values.get("used_bytes")),
            memory_total_bytes=_whole(values.get("total_bytes")),
            power_watts=values.get("power_watts"),
        ),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None or not math.isfinite(value) else round(value)


def columns(figures: Mapping[str, Steps], pod: Pod, now: float, at: float) -> Iterator[Column]:
    """Yield the past of each series in the windows' steps, since the pod was ready.

    Ready is a time of the API server; its clock is held against Prometheus' for this alone.
    """
    if pod.standing() is not Standing.SERVING or pod.ready_changed_at is None:
        return
    grid = range(int(now) - PAST_SECONDS, int(now) + 1, STEP_SECONDS)
    for series, value_at in _series(figures).items():
        values = tuple(
            value
            if step - STEP_SECONDS >= pod.ready_changed_at
            and (value := value_at(step)) is not None
            and plausible(series, value)
            else None
            for step in grid
        )
        if any(value is not None for value in values):
            yield Column(series, at - STEP_SECONDS / 2, STEP_SECONDS, values)


def _series(
    figures: Mapping[str, Steps],
) -> dict[str, Callable[[int], float | None]]:
    pending, running = figures.get("pending", {}), figures.get("running", {})
    ratio = figures.get("kv_ratio", {})

    def inflight(step: int) -> float | None:
        known = step in pending and step in running
        return pending[step] + running[step] if known else None

    return {
        "pending": pending.get,
        "running": running.get,
        "inflight": inflight,
        "kv_percent": lambda step: 100.0 * ratio[step] if step in ratio else None,
        "gpu_busy_percent": figures.get("busy_percent", {}).get,
        "gpu_memory_used_bytes": figures.get("used_bytes", {}).get,
        "gpu_power_watts": figures.get("power_watts", {}).get,
    }
