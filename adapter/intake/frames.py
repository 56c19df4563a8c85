"""Frames: one line of a sidecar's stream becomes a Reading, or nothing with the reason counted.

What a sidecar says is never trusted: tenants own their pods. Every figure must be finite, not
negative and below the ceiling of its series, or it is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from adapter.model.batch import Column, ModelState, Point, Reading
from adapter.model.catalogue import CEILINGS
from sidecar import wire

# A source that claims a longer period would count as fresh for longer than any HPA should trust it.
MAX_PERIOD_SECONDS = 60.0
MIN_PERIOD_SECONDS = 0.1

_MODEL = {
    wire.EngineState.NONE: ModelState.UNKNOWN,
    wire.EngineState.LOADING: ModelState.LOADING,
    wire.EngineState.READY: ModelState.READY,
    wire.EngineState.FAILING: ModelState.FAILING,
}

Drop = Callable[[str], None]  # told the series of each figure that was left out


def reading(frame: wire.Frame, uid: str, at: float, drop: Drop) -> Reading:
    """Return the Reading of a frame received at monotonic `at`; raise WireError if it has none."""
    if not MIN_PERIOD_SECONDS <= frame.period_seconds <= MAX_PERIOD_SECONDS:
        raise wire.WireError(
            f"period_seconds is {frame.period_seconds:g}, outside"
            f" {MIN_PERIOD_SECONDS:g} to {MAX_PERIOD_SECONDS:g}"
        )
    engine = frame.engine
    return Reading(
        uid=uid,
        at=at,
        period_seconds=frame.period_seconds,
        model=_MODEL[engine.state] if engine else ModelState.UNKNOWN,
        points=tuple(_points(frame, at, drop)),
        why=_why(frame),
        history=tuple(_history(frame.backlog, at, drop)) if frame.backlog else (),
    )


def _points(frame: wire.Frame, at: float, drop: Drop) -> Iterator[Point]:
    ages = frame.age_seconds or wire.Ages()
    for series, value in wire.levels(frame).items():
        age = ages.gpu if series.startswith("gpu") else ages.engine
        if age is None or not age >= 0 or not plausible(series, value):
            drop(series)
        else:
            yield Point(series, at - age, value)


def _history(backlog: wire.Backlog, at: float, drop: Drop) -> Iterator[Column]:
    """Yield the past of each known series; figures that are no measurement are None in it."""
    step, age = backlog.step_seconds, backlog.age_seconds
    if not (step > 0 and age >= 0):
        drop("backlog")
        return
    for series, column in backlog.series.items():
        if series not in CEILINGS:
            continue  # a newer sidecar may know more
        values = tuple(v if v is not None and plausible(series, v) else None for v in column)
        yield Column(series, at - age - step / 2, step, values)


def _why(frame: wire.Frame) -> dict[str, str]:
    found = {
        "engine": frame.engine.why if frame.engine else None,
        "gpu": frame.attribution.why if frame.attribution and not frame.gpus else None,
    }
    return {part: words for part, words in found.items() if words}


def plausible(series: str, value: float) -> bool:
    """Return whether the figure can be a measurement of that series."""
    return math.isfinite(value) and 0 <= value <= CEILINGS[series]
