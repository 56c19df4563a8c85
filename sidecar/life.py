"""The life: when the model server was first seen listening, loading, ready and serving; pure.

A model server that ends and starts again begins a new life, also when it was too quick to be missed
by a reading: its counters fall.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sidecar.modelserver import EngineRead
from sidecar.wire import EngineReading, EngineState

UNHEARD = ("no_server", "unreachable")  # nothing answered, not even badly


@dataclass(frozen=True, slots=True)
class Life:
    """The clock at each first sight, None before it."""

    listening_at: float | None = None
    loading_at: float | None = None
    ready_at: float | None = None
    served_at: float | None = None


def after(life: Life, before: EngineReading | None, read: EngineRead, now: float) -> Life:
    """Return the life as one more reading tells it; `before` is the reading before this one."""
    reading = read.reading
    unheard = reading.state is EngineState.LOADING and read.failure in UNHEARD
    if reading.state is EngineState.NONE or unheard:
        return Life()
    if reading.state is EngineState.LOADING:
        return Life(_first(life.listening_at, now), _first(life.loading_at, now))
    if reading.state is EngineState.FAILING:
        return replace(life, listening_at=_first(life.listening_at, now))
    if life.ready_at is not None and _began_anew(before, reading):
        life = Life()
    served = _first(life.served_at, now) if _has_served(reading) else life.served_at
    return Life(_first(life.listening_at, now), life.loading_at, _first(life.ready_at, now), served)


def _first(then: float | None, now: float) -> float:
    return now if then is None else then


def _has_served(reading: EngineReading) -> bool:
    return bool(reading.finished_total or reading.output_tokens_total)


def _began_anew(before: EngineReading | None, now: EngineReading) -> bool:
    """Tell whether a counter fell: it counts from the start of its process."""
    if before is None or before.kind != now.kind:
        return False
    pairs = (
        (before.finished_total, now.finished_total),
        (before.output_tokens_total, now.output_tokens_total),
    )
    return any(then is not None and new is not None and new < then for then, new in pairs)
