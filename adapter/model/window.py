"""The window: the last minute by the second and the last ten minutes by ten seconds, per series.

One row per (pod UID, series) in two rings shared by all rows:

    fine    60 x 1 s   the last value read in that second
    coarse  60 x 10 s  the time-weighted mean of that step, last value held

A second without a reading is NaN until it is looked at; `freeze` carries the last value forward, so
a source that sends only when something changed costs nothing and loses nothing. After a silence
longer than the hold nothing of it is kept. Rings are aligned to
whole seconds of the adapter's monotonic clock: second t lives in column t mod 60. Memory per row is
60 x 2 x 4 bytes of rings and 4 x 8 bytes beside them, about 0.5 KB.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapter.model.batch import Batch, Column
from adapter.model.freshness import held_seconds
from adapter.model.rows import Rows, by_series
from adapter.model.smooth import carry_forward

FINE_SLOTS = 60
COARSE_SLOTS = 60
COARSE_SECONDS = 10

Key = tuple[str, str]  # (pod UID, series)
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class FrozenWindow(NamedTuple):
    """What the rings held at one moment; time runs left to right, the last column is the newest.

    `fine` is carried forward: NaN only before the first reading. A step of `coarse` is NaN where
    nothing was known in it; its last column is the newest complete step. `last_at` is NaN for a row
    that has no reading that could be served.
    """

    rows: Mapping[Key, int]
    by_series: Mapping[str, Rows]
    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]
    last_value: Floats
    last_at: Floats
    period_seconds: Floats


class Window:
    """The rings, owned by the tick loop; readers only ever see what `freeze` returns."""

    def __init__(self, hold_seconds: float = 60.0, rows: int = 64) -> None:
        self.hold_seconds = hold_seconds
        self._row_of: dict[Key, int] = {}
        self._free: list[int] = []
        self._head = -1  # the newest second that has a column
        self._rows: Mapping[Key, int] | None = None
        self._by_series: Mapping[str, Rows] = {}
        self._allocate(rows)

    def _allocate(self, rows: int) -> None:
        # Column by column in memory (order F): time passes for all rows at once.
        self._fine = np.full((rows, FINE_SLOTS), np.nan, dtype=np.float32, order="F")
        self._coarse = np.full((rows, COARSE_SLOTS), np.nan, dtype=np.float32, order="F")
        self._ordered: NDArray[np.float32] | None = None  # of coarse, until it changes
        self._last_value = np.full(rows, np.nan)
        self._last_at = np.full(rows, np.nan)
        self._period = np.full(rows, np.nan)
        self._free.extend(reversed(range(rows)))

    def append(self, batch: Batch, now: float) -> None:
        """Advance to `now` and take in the batch; a point older than its row's newest is history.

        A value from the future of this clock is taken as of now.
        """
        self._advance(int(now))
        rows: list[int] = []
        times: list[float] = []
        values: list[float] = []
        periods: list[float] = []
        for reading in batch.readings:
            for column in reading.history:
                row = self._row(reading.uid, column.series)
                self._close_gap(np.array([row]), reading.at)
                self._put_history(row, column)
            for point in reading.points:
                rows.append(self._row(reading.uid, point.series))
                times.append(point.at)
                values.append(point.value)
                periods.append(reading.period_seconds)
        if rows:
            self._put(np.array(rows), np.array(times), np.array(values), np.array(periods), now)

    def forget(self, keep: Iterable[str]) -> None:
        """Drop the rows of every pod UID that is not in `keep`."""
        kept = set(keep)
        for key in [key for key in self._row_of if key[0] not in kept]:
            row = self._row_of.pop(key)
            for array in (self._fine, self._coarse, self._last_value, self._last_at, self._period):
                array[row] = np.nan
            self._free.append(row)
            self._rows = self._ordered = None

    def freeze(self) -> FrozenWindow:
        """Return an immutable copy, ordered in time and carried forward."""
        if self._rows is None:
            self._rows = dict(self._row_of)
            self._by_series = by_series(self._rows)
        newest = self._head % FINE_SLOTS
        step = self._head // COARSE_SECONDS - 1  # the newest complete step
        fine = carry_forward(np.roll(self._fine, FINE_SLOTS - 1 - newest, axis=1))
        if self._ordered is None:
            shift = COARSE_SLOTS - 1 - step % COARSE_SLOTS
            self._ordered = np.roll(self._coarse, shift, axis=1)
        return FrozenWindow(
            self._rows,
            self._by_series,
            fine,
            self._ordered,
            self._last_value.copy(),
            self._last_at.copy(),
            self._period.copy(),
        )

    def _row(self, uid: str, series: str) -> int:
        row = self._row_of.get((uid, series))
        if row is not None:
            return row
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._row_of[uid, series] = row
        self._rows = None
        return row

    def _grow(self) -> None:
        old = len(self._last_at)
        kept = (self._fine, self._coarse, self._last_value, self._last_at, self._period)
        self._allocate(old)
        grown = (self._fine, self._coarse, self._last_value, self._last_at, self._period)
        joined = [np.asfortranarray(np.concatenate(p)) for p in zip(kept, grown, strict=True)]
        self._fine, self._coarse, self._last_value, self._last_at, self._period = joined
        self._free = list(range(2 * old - 1, old - 1, -1))

    def _put(self, rows: Integers, at: Floats, values: Floats, periods: Floats, now: float) -> None:
        """Write all points at once; of several of one row the newest, written last, stays."""
        at = np.minimum(at, now)
        order = np.argsort(at, kind="stable")
        chosen = order[~(at[order] < self._last_at[rows[order]])]
        rows, at, values = rows[chosen], at[chosen], values[chosen]
        self._close_gap(rows, at)
        self._last_at[rows] = at
        self._last_value[rows] = values
        self._period[rows] = periods[chosen]
        seconds = at.astype(np.int64)
        recent = seconds > self._head - FINE_SLOTS
        self._fine[rows[recent], seconds[recent] % FINE_SLOTS] = values[recent]

    def _close_gap(self, rows: Integers, at: Floats | float) -> None:
        """Forget what was carried through a silence that was longer than the hold.

        A value that was withheld while it was old must not come back in a mean with a new time.
        """
        last = self._last_at[rows]
        silent = at - last > held_seconds(self._period[rows], self.hold_seconds)
        for row, heard_at in zip(rows[silent], last[silent], strict=True):
            self._fine[row] = np.nan
            newest = self._head // COARSE_SECONDS - 1
            steps = (
                np.arange(max(int(heard_at) // COARSE_SECONDS, newest - COARSE_SLOTS), newest) + 1
            )
            self._coarse[row, steps % COARSE_SLOTS] = np.nan
            self._last_at[row] = np.nan
            self._ordered = None

    def _put_history(self, row: int, column: Column) -> None:
        """Fill past steps and seconds where nothing is known yet; live readings stay."""
        values = np.array([np.nan if v is None else v for v in column.values], dtype=np.float32)
        back = np.arange(len(values) - 1, -1, -1)
        at = column.newest_at - back * column.step_seconds
        newest_step = self._head // COARSE_SECONDS - 1
        # A time before this clock began belongs to a machine that has just started.
        steps = np.where(at < 0, -1, at // COARSE_SECONDS).astype(np.int64)
        self._fill(self._coarse[row], steps, values, newest_step)
        self._fill_seconds(row, column, values)
        self._ordered = None

    def _fill_seconds(self, row: int, column: Column, values: NDArray[np.float32]) -> None:
        """Spread each step's mean over its seconds: the minute is looked at by the second."""
        width = max(1, round(column.step_seconds))
        last = math.floor(column.newest_at + column.step_seconds / 2) - 1  # second of the past
        spread = np.repeat(values, width)[-FINE_SLOTS:]
        seconds = np.arange(last - len(spread) + 1, last + 1)
        self._fill(self._fine[row], seconds, spread, self._head)

    @staticmethod
    def _fill(
        ring: NDArray[np.float32], times: Integers, values: NDArray[np.float32], newest: int
    ) -> None:
        fits = (times >= 0) & (times > newest - len(ring)) & (times <= newest)
        places = times[fits] % len(ring)
        ring[places] = np.where(np.isnan(ring[places]), values[fits], ring[places])

    def _advance(self, second: int) -> None:
        """Open the columns up to `second`, closing each ten-second step that it passes."""
        if self._head < 0:
            self._head = second
            return
        if second - self._head > FINE_SLOTS * COARSE_SECONDS:
            # After a pause longer than all rings hold there is nothing to carry.
            self._fine[:] = np.nan
            self._coarse[:] = np.nan
            self._ordered = None
            self._head = second
        while self._head < second:
            self._head += 1
            if self._head % COARSE_SECONDS == 0:
                self._close_step(self._head // COARSE_SECONDS - 1)
            self._seed_minute_edge()
            self._fine[:, self._head % FINE_SLOTS] = np.nan

    def _seed_minute_edge(self) -> None:
        """Carry the value that is about to leave the minute, so a quiet source stays known."""
        leaving = self._head % FINE_SLOTS
        successor = (leaving + 1) % FINE_SLOTS
        gap = np.isnan(self._fine[:, successor])
        self._fine[gap, successor] = self._fine[gap, leaving]

    def _close_step(self, step: int) -> None:
        columns = np.arange(step * COARSE_SECONDS, (step + 1) * COARSE_SECONDS) % FINE_SLOTS
        ordered = carry_forward(
            np.roll(self._fine, FINE_SLOTS - 1 - (self._head - 1) % FINE_SLOTS, axis=1)
        )
        recent = ordered[:, -len(columns) :]
        known = ~np.isnan(recent)
        count = known.sum(axis=1)
        total = np.where(known, recent, 0.0).sum(axis=1)
        column = step % COARSE_SLOTS
        self._ordered = None
        self._coarse[:, column] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
