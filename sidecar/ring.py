"""The ring: the last 15 minutes in 10 s steps, for an adapter that has just connected.

A counter is kept as a level is, by the mean of each step: that is its value about the middle of the
step, so the difference of two steps is what was counted between their middles.
"""

from __future__ import annotations

from collections import deque

from sidecar.wire import SERIES, TOTALS, Backlog

STEP_SECONDS = 10.0
STEPS = 90

Column = dict[str, float]


class Ring:
    """Whole steps only: the step under way is not in the backlog, it would be a part of a mean."""

    def __init__(self, started_at: float) -> None:
        self._columns: deque[Column] = deque(maxlen=STEPS)
        self._step_ends_at = started_at + STEP_SECONDS
        self._seen: dict[str, list[float]] = {}

    def add(self, now: float, levels: Column) -> None:
        """Take one tick's levels and totals; what has none in a whole step is unknown there."""
        self._close_steps(now)
        for name, level in levels.items():
            self._seen.setdefault(name, []).append(level)

    def backlog(self, now: float) -> Backlog | None:
        """Return the whole steps so far, None before the first one ended."""
        self._close_steps(now)
        if not self._columns:
            return None
        names = (*SERIES, *TOTALS)
        known = [name for name in names if any(name in column for column in self._columns)]
        return Backlog(
            step_seconds=STEP_SECONDS,
            age_seconds=round(now - (self._step_ends_at - STEP_SECONDS), 3),
            series={name: tuple(c.get(name) for c in self._columns) for name in known},
        )

    def _close_steps(self, now: float) -> None:
        """Fold the steps that ended by now; after a pause longer than the ring all are unknown."""
        behind = int((now - self._step_ends_at) // STEP_SECONDS) + 1
        for _ in range(min(behind, STEPS + 1)):
            means = {name: sum(seen) / len(seen) for name, seen in self._seen.items()}
            self._columns.append({name: round(mean, 4) for name, mean in means.items()})
            self._seen = {}
        self._step_ends_at += max(behind, 0) * STEP_SECONDS
