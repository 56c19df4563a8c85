"""The course: how one workload's demand went in the last half-hour, and what was forecast of it.

A ring of five-second steps that reaches as far ahead as it reaches back: a forecast stands at the
time that it is about, so that it can be held against what came. NaN is "not known": a gap.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from adapter.model.overview import Row

STEP_SECONDS = 5
PAST_STEPS = 360
AHEAD_STEPS = 360
_STEPS = PAST_STEPS + AHEAD_STEPS
_SHORTEST_STEPS = 24  # that are drawn, however short the past is

OBSERVED, SMOOTHED, FORECAST, TARGET, PODS = range(5)


class Line(msgspec.Struct, frozen=True):
    """One line of the chart; a value is None where it is not known."""

    name: str
    values: tuple[float | None, ...]


class Story(msgspec.Struct, frozen=True, rename="camel"):
    """One workload's course; `at` is Unix seconds, as is `now`, the step that was noted last.

    The first four lines are in `unit`, the last one is pods. A pod that is asked for now serves at
    `serves_at`; None where that is not known.
    """

    unit: str
    now: float
    serves_at: float | None
    at: tuple[float, ...]
    lines: tuple[Line, ...]


class Course:
    """One workload's ring; times are Unix seconds."""

    def __init__(self) -> None:
        self._ring = np.full((5, _STEPS), np.nan, dtype=np.float32)
        self._head = -1  # the newest step that was noted
        self._first = -1
        self._metric = ""
        self._unit = ""
        self._ahead_seconds: float | None = None

    @property
    def noted_at(self) -> float:
        """When it was noted last."""
        return float(self._head * STEP_SECONDS)

    def note(self, row: Row, now: float, ahead_seconds: float | None) -> None:
        """Take in what a row says; `ahead_seconds` is how far ahead its forecast is about."""
        step = int(now // STEP_SECONDS)
        if row.demand.name != self._metric or not 0 <= step - self._head < _STEPS:
            self._begin(row, step)
        for passed in range(self._head + 1, step + 1):
            self._ring[:, (passed + AHEAD_STEPS) % _STEPS] = np.nan
        self._head, self._ahead_seconds = step, ahead_seconds
        here = self._ring[:, step % _STEPS]
        here[OBSERVED], here[SMOOTHED] = _or_nan(row.observed), _or_nan(row.smoothed)
        here[TARGET], here[PODS] = _or_nan(row.carries), row.replicas
        if row.foreseen is None or row.foreseen.predicted is None or ahead_seconds is None:
            return
        ahead = round(ahead_seconds / STEP_SECONDS)
        if ahead < AHEAD_STEPS:
            self._ring[FORECAST, (step + ahead) % _STEPS] = row.foreseen.predicted

    def story(self) -> Story:
        """Return the course from its first step, or the oldest one that is kept, on."""
        head = self._head
        oldest = max(self._first, head - PAST_STEPS + 1)
        first = min(oldest, head - _SHORTEST_STEPS)
        steps = np.arange(first, head + self._steps_ahead() + 1)
        values = self._ring[:, steps % _STEPS].astype(np.float64)
        values[:, steps < oldest] = np.nan
        names = ("last readings", "smoothed", "forecast", "target", "pods")
        ahead = self._ahead_seconds
        return Story(
            self._unit,
            self.noted_at,
            None if ahead is None else self.noted_at + ahead,
            tuple((steps * float(STEP_SECONDS)).tolist()),
            tuple(
                Line(name, _known(line.tolist())) for name, line in zip(names, values, strict=True)
            ),
        )

    def _begin(self, row: Row, step: int) -> None:
        """Forget all of it: another demand, a clock that was set, a pause as long as the ring."""
        self._ring[:] = np.nan
        self._head = self._first = step
        self._metric, self._unit = row.demand.name, row.demand.unit

    def _steps_ahead(self) -> int:
        seconds = self._ahead_seconds or 0.0
        wanted = math.ceil(seconds / STEP_SECONDS) + 2
        return min(wanted, AHEAD_STEPS - 1)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _known(values: list[float]) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else round(value, 2) for value in values)
