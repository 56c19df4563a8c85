"""Frames: one line of a sidecar's stream becomes a Reading, or nothing with the reason counted.

What a sidecar says is never trusted: tenants own their pods. Every figure must be finite, not
negative and below the ceiling of its series, or it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from msgspec import structs

from adapter.intake import gpus, histograms, word
from adapter.model import rates
from adapter.model.batch import Column, ModelState, Point, Reading, Totals
from adapter.model.catalogue import CEILINGS, DIMENSIONS
from adapter.settings import LONGEST_PERIOD_SECONDS
from sidecar import wire

MAX_PERIOD_SECONDS = LONGEST_PERIOD_SECONDS
MIN_PERIOD_SECONDS = 0.1

_MODEL = {
    wire.EngineState.NONE: ModelState.UNKNOWN,
    wire.EngineState.LOADING: ModelState.LOADING,
    wire.EngineState.READY: ModelState.READY,
    wire.EngineState.FAILING: ModelState.FAILING,
}

MAX_BACKLOG_STEPS = 90  # fifteen minutes of ten seconds; the window holds ten
# A sidecar's steps are ten seconds long. The window spreads a step over its seconds, for all
# workloads in one go: what it cannot hold must not get there.
SHORTEST_STEP_SECONDS, LONGEST_STEP_SECONDS = 1.0, 60.0
OLDEST_BACKLOG_SECONDS = 600.0
OLDEST_SECONDS = 86_400.0  # a reading that is older is as good as one of a day ago
MAX_DIMENSION_CHARACTERS = 1024  # of a model's name, or of several
MAX_WHY_CHARACTERS = word.MAX_WORD_CHARACTERS

# A counter beyond this has lost its last digit, and with it its speed.
MAX_COUNTER = 2.0**53
_ENGINE_SERIES = {name: name for name in ("pending", "running", "kv_percent", *wire.TOTALS)}
_GPU_SERIES = {
    "busy_percent": "gpu_busy_percent",
    "memory_used_bytes": "gpu_memory_used_bytes",
    "memory_total_bytes": "gpu_memory_used_bytes",
    "power_watts": "gpu_power_watts",
    "tensor_percent": "gpu_tensor_percent",
    "dram_percent": "gpu_dram_percent",
}
_OF_GPU = frozenset(series for series in wire.SERIES if series.startswith("gpu"))
_Part = TypeVar("_Part", wire.EngineReading, wire.GpuReading)
_Check = tuple[str, str, float]  # a field, its series, the ceiling of that


def _checks(series_of: Mapping[str, str]) -> tuple[_Check, ...]:
    return tuple((field, one, CEILINGS.get(one, MAX_COUNTER)) for field, one in series_of.items())


_ENGINE_CHECKS, _GPU_CHECKS = _checks(_ENGINE_SERIES), _checks(_GPU_SERIES)

Drop = Callable[[str, str], None]  # told the series of each figure that was left out, and why


def reading(frame: wire.Frame, uid: str, at: float, drop: Drop) -> Reading:
    """Return the Reading of a frame received at monotonic `at`; raise WireError if it has none."""
    if not MIN_PERIOD_SECONDS <= frame.period_seconds <= MAX_PERIOD_SECONDS:
        raise wire.WireError(
            f"period_seconds is {frame.period_seconds:g}, outside"
            f" {MIN_PERIOD_SECONDS:g} to {MAX_PERIOD_SECONDS:g}"
        )
    unusable: dict[str, str] = {}
    cleaned = _cleaned(frame, unusable)
    points = _points(cleaned, at, unusable)
    past = tuple(_history(frame, at)) if _is_usable(frame.backlog, unusable) else ()
    buckets = histograms.buckets(frame, at, unusable)
    for series, words in unusable.items():
        drop(series, words)
    return Reading(
        uid=uid,
        at=at,
        period_seconds=frame.period_seconds,
        model=_MODEL[frame.engine.state] if frame.engine else ModelState.UNKNOWN,
        points=points,
        why=_why(frame) | unusable,
        history=(*(column for column in past if column.series in CEILINGS), *rates.past(past)),
        totals=_totals(cleaned, at, rates.newest(past)),
        buckets=buckets,
        dims=_dims(frame),
        life=frame.boot,
        gpus=gpus.counted(cleaned.gpus),
        word=word.told(frame, at),
    )


def _points(frame: wire.Frame, at: float, unusable: dict[str, str]) -> tuple[Point, ...]:
    """Return the figures that are measurements; note in words what is wrong with the others.

    Each figure was looked at before any is added to another, so that two wrong ones cannot make a
    right-looking one.
    """
    ages = frame.age_seconds or wire.Ages()
    of_engine, of_gpu = _taken_at(at, ages.engine), _taken_at(at, ages.gpu)
    points = []
    for series, value in wire.levels(frame).items():
        taken_at = of_gpu if series in _OF_GPU else of_engine
        if taken_at is None:
            unusable[series] = "its source does not say how old this is"
        elif not 0 <= value <= CEILINGS[series]:
            unusable[series] = _no_measurement(value)
        else:
            points.append(Point(series, taken_at, value))
    return (*points, *gpus.spread(frame.gpus, of_gpu))


def _totals(frame: wire.Frame, at: float, earlier: Totals | None) -> tuple[Totals, ...]:
    """Return the counters of the frame, after those of its backlog; none without their age."""
    counters = wire.totals(frame)
    taken_at = _taken_at(at, frame.age_seconds.engine if frame.age_seconds else None)
    if not counters or frame.engine is None or taken_at is None:
        return ()
    pending, running = frame.engine.pending, frame.engine.running
    now = Totals(
        taken_at,
        counters.get("finished_total"),
        counters.get("output_tokens_total"),
        counters.get("preemptions_total"),
        None if pending is None else pending + (running or 0.0),
        running is not None,
    )
    return (now,) if earlier is None else (earlier, now)


def _taken_at(at: float, age_seconds: float | None) -> float | None:
    if age_seconds is None or not age_seconds >= 0:
        return None
    return at - min(age_seconds, OLDEST_SECONDS)


def _cleaned(frame: wire.Frame, unusable: dict[str, str]) -> wire.Frame:
    """Return the frame without the figures that are no measurement; each is noted in words."""
    engine, found = frame.engine, frame.gpus
    if engine is not None:
        engine = _without_bad(engine, _ENGINE_CHECKS, unusable)
    if found is not None:
        found = tuple(_without_bad(gpu, _GPU_CHECKS, unusable) for gpu in found)
    return structs.replace(frame, engine=engine, gpus=found) if unusable else frame


def _without_bad(found: _Part, checks: tuple[_Check, ...], unusable: dict[str, str]) -> _Part:
    bad: dict[str, None] = {}
    for field, series, ceiling in checks:
        value = getattr(found, field)
        if value is not None and not 0 <= value <= ceiling:
            unusable[series] = _no_measurement(value)
            bad[field] = None
    return structs.replace(found, **bad) if bad else found


def _no_measurement(value: float) -> str:
    shown = f"{value:g}" if abs(value) <= MAX_COUNTER else "a number without end"
    return f"its source says {shown}, which is no measurement"


def _history(frame: wire.Frame, at: float) -> Iterator[Column]:
    """Yield the past of each known series since the model was ready for the first time.

    What was read while it was loading says nothing of what it does when it serves. Figures that
    are no measurement are None in a column.
    """
    backlog = frame.backlog
    if backlog is None:
        return
    steps = _steps_since_ready(frame, backlog)
    newest = at - backlog.age_seconds - backlog.step_seconds / 2
    for series, column in backlog.series.items():
        if series not in (*wire.SERIES, *wire.TOTALS) or steps == 0:
            continue  # a newer sidecar may know more
        kept = column[-steps:]
        values = tuple(v if v is not None and plausible(series, v) else None for v in kept)
        yield Column(series, newest, backlog.step_seconds, values)


def _is_usable(backlog: wire.Backlog | None, unusable: dict[str, str]) -> bool:
    """Tell whether the past can be taken; note in words why one that was sent cannot."""
    if backlog is None:
        return False
    if not SHORTEST_STEP_SECONDS <= backlog.step_seconds <= LONGEST_STEP_SECONDS:
        unusable["backlog"] = f"its steps are {backlog.step_seconds:g} s long"
    elif not 0 <= backlog.age_seconds <= OLDEST_BACKLOG_SECONDS:
        unusable["backlog"] = f"it ended {backlog.age_seconds:g} s ago"
    return "backlog" not in unusable


def _steps_since_ready(frame: wire.Frame, backlog: wire.Backlog) -> int:
    if frame.engine is None or frame.engine.state is wire.EngineState.NONE:
        return MAX_BACKLOG_STEPS
    ready = frame.phases.engine_first_ready_age_seconds if frame.phases else None
    if ready is None:
        return 0
    longest = MAX_BACKLOG_STEPS * backlog.step_seconds
    return int(max(0.0, min(ready - backlog.age_seconds, longest)) // backlog.step_seconds)


def _why(frame: wire.Frame) -> dict[str, str]:
    found = {
        "engine": frame.engine.why if frame.engine else None,
        "gpu": _gpu_why(frame),
    }
    return {part: words[:MAX_WHY_CHARACTERS] for part, words in found.items() if words}


def _gpu_why(frame: wire.Frame) -> str | None:
    """Return what the sidecar says of its GPUs: of those that it has, or of having none."""
    if frame.gpus:
        return "; ".join(f"{gpu.uuid}: {gpu.why}" for gpu in frame.gpus if gpu.why)
    return frame.attribution.why if frame.attribution else None


def _dims(frame: wire.Frame) -> dict[str, str]:
    told = frame.engine.dims if frame.engine else None
    kept = {key: told[key] for key in DIMENSIONS if key in told} if told else {}
    return {key: value[:MAX_DIMENSION_CHARACTERS] for key, value in kept.items()}


def plausible(series: str, value: float) -> bool:
    """Return whether the figure can be a measurement of that series; NaN is not at least 0."""
    return 0 <= value <= CEILINGS.get(series, MAX_COUNTER)
