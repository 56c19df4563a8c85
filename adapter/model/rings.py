"""The rings: the last minute by the second and the last ten minutes by ten seconds, of all rows.

    fine    60 x 1 s   the value of that second, the last one held
    coarse  60 x 10 s  the mean over that step's seconds

Rings are aligned to whole seconds of the adapter's monotonic clock: second t lives in column t mod
60. A second is opened with the value of the one before, so what is held costs nothing to read; a
value that comes late overwrites what was held in its place, in closed steps too. NaN is "nothing
known yet".
"""

from __future__ import annotations

import math

import numpy as np

from adapter.model.batch import Column
from adapter.model.columns import Columns, Floats, Integers, Past, Ring
from adapter.model.smooth import carry_forward

FINE_SLOTS = 60
COARSE_SLOTS = 60
COARSE_SECONDS = 10
_WHOLE_STEPS = 5  # closed steps whose seconds are all in the minute still


class Rings:
    """Two rings per row; rows are numbered by the window, which owns them."""

    def __init__(self, rows: int) -> None:
        self.head = -1  # the newest second that has a column
        self._fine = Columns(rows, FINE_SLOTS)
        self._coarse = Columns(rows, COARSE_SLOTS)

    def grow(self, rows: int) -> None:
        """Append so many rows of which nothing is known."""
        self._fine.grow(rows)
        self._coarse.grow(rows)

    def clear(self, row: int) -> None:
        """Forget all of a row."""
        self._fine.change(row)[:] = self._coarse.change(row)[:] = np.nan

    def freeze(self) -> tuple[Past, Past]:
        """Return both rings as they are now, the coarse one up to its newest whole step."""
        newest = self._newest_step() % COARSE_SLOTS
        return self._fine.freeze(self.head % FINE_SLOTS), self._coarse.freeze(newest)

    def advance(self, second: int) -> None:
        """Open the seconds up to this one, closing each ten-second step that is passed."""
        if self.head < 0:
            self.head = second
        if second - self.head > FINE_SLOTS * COARSE_SECONDS:
            # After a pause longer than all rings hold there is nothing to carry.
            self._fine.forget()
            self._coarse.forget()
            self.head = second
        while self.head < second:
            before = self.head % FINE_SLOTS
            self.head += 1
            if self.head % COARSE_SECONDS == 0:
                self._close_steps(slice(None), self._newest_step())
            self._fine.repeat(self.head % FINE_SLOTS, before)

    def hold(self, rows: Integers, seconds: Integers, values: Floats) -> None:
        """Write each value from its second on; of several of one row the last written holds on.

        Values come in the order of their times.
        """
        self._write(rows, seconds, values)
        self._mend(rows, seconds)

    def spread(
        self, rows: Integers, since: Floats, until: Floats, means: Floats, covered: Floats
    ) -> Floats:
        """Write means over (since, until], one a row, and hold each on.

        A second that is covered in part has the mean over that part: `covered` is how much of the
        second of `since` the value there stands for, in seconds. Return the same of `until`.
        """
        reach = self.head - FINE_SLOTS + 1
        covered = np.where(since < reach, 0.0, covered)
        since = np.maximum(since, reach)
        first, last = since.astype(np.int64), until.astype(np.int64)
        part = np.minimum(until, first + 1) - since
        before = self._fine.at(rows, first % FINE_SLOTS).astype(np.float64)
        known = np.where(np.isnan(before), 0.0, covered)
        whole = np.maximum(known + part, 1e-9)
        self._write(rows, first, (np.where(known > 0, before * known, 0.0) + means * part) / whole)
        later = last > first
        self._write(rows[later], first[later] + 1, means[later])
        self._mend(rows, first)
        return np.where(later, until - last, known + part)

    def forget_since(self, row: int, heard_at: float) -> None:
        """Forget what was held after the last reading, and the minute with it."""
        self._fine.change(row)[:] = np.nan
        newest = self._newest_step()
        oldest = max(int(heard_at) // COARSE_SECONDS, newest - COARSE_SLOTS)
        self._coarse.change(row)[(np.arange(oldest, newest) + 1) % COARSE_SLOTS] = np.nan

    def remember(self, row: int, column: Column, heard_at: float) -> None:
        """Fill the past where nothing was read: before the first reading or after `heard_at`.

        `heard_at` is NaN for a row without a reading.
        """
        values = np.array([np.nan if v is None else v for v in column.values], dtype=np.float32)
        back = np.arange(len(values) - 1, -1, -1)
        at = column.newest_at - back * column.step_seconds
        # A time before this clock began belongs to a machine that has just started.
        steps = np.where(at < 0, -1, at // COARSE_SECONDS).astype(np.int64)
        heard_step = heard_at // COARSE_SECONDS
        _fill(self._coarse.change(row), steps, values, self._newest_step(), heard_step)
        self._fill_seconds(row, column, values, heard_at // 1)

    def _fill_seconds(self, row: int, column: Column, values: Ring, heard: float) -> None:
        """Spread each step's mean over its seconds: the minute is looked at by the second."""
        width = max(1, round(column.step_seconds))
        last = math.floor(column.newest_at + column.step_seconds / 2) - 1  # second of the past
        by_second = carry_forward(np.repeat(values, width)[np.newaxis, -FINE_SLOTS:])[0]
        seconds = np.arange(last - len(by_second) + 1, last + 1)
        _fill(self._fine.change(row), seconds, by_second, self.head, heard)
        if not heard >= last and len(values) and not np.isnan(by_second[-1]):
            held = by_second[-1:].astype(np.float64)
            self._write(np.array([row]), np.array([min(last, self.head)]), held)
        if not np.isnan(heard):
            self._mend(np.array([row]), np.array([int(heard)]))

    def _write(self, rows: Integers, seconds: Integers, values: Floats) -> None:
        back = self.head - seconds
        for k in range(min(int(back.max(initial=-1)), FINE_SLOTS - 1) + 1):
            chosen = back >= k
            self._fine.put((self.head - k) % FINE_SLOTS, rows[chosen], values[chosen])

    def _mend(self, rows: Integers, seconds: Integers) -> None:
        """Take the means of closed steps again where a value came late."""
        newest = self._newest_step()
        oldest = int(seconds.min(initial=self.head)) // COARSE_SECONDS
        for step in range(max(oldest, newest - _WHOLE_STEPS + 1), newest + 1):
            late = rows[seconds < (step + 1) * COARSE_SECONDS]
            if len(late):
                self._close_steps(late, step)

    def _close_steps(self, rows: slice | Integers, step: int) -> None:
        first = step * COARSE_SECONDS % FINE_SLOTS  # sixty is a multiple of ten: it never wraps
        seconds = self._fine.at(rows, slice(first, first + COARSE_SECONDS))
        known = ~np.isnan(seconds)
        count = known.sum(axis=1)
        total = np.where(known, seconds, 0.0).sum(axis=1)
        means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        self._coarse.put(step % COARSE_SLOTS, rows, means)

    def _newest_step(self) -> int:
        return self.head // COARSE_SECONDS - 1


def _fill(ring: Ring, times: Integers, values: Ring, newest: int, heard: float) -> None:
    """Write the known values of the ring's span whose place is free: not read, or after `heard`."""
    fits = (times >= 0) & (times > newest - len(ring)) & (times <= newest) & ~np.isnan(values)
    free = fits & (np.isnan(ring[times % len(ring)]) | (times > heard))
    ring[times[free] % len(ring)] = values[free]
