"""The window: the recent past of every series of every pod, and what was read of it last.

One row per (pod UID, series) in the two rings of `rings.py`. After a silence longer than the hold
nothing of it is kept. Memory per row is 60 x 2 x 4 bytes of rings and 4 x 8 bytes beside them,
about 0.5 KB.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from adapter.model.batch import Batch, Column, Key, Point, Reading, Spans
from adapter.model.columns import Floats, Integers, Past
from adapter.model.freshness import held_seconds
from adapter.model.hold import Hold
from adapter.model.rings import Rings
from adapter.model.rows import Rows, by_series


class FrozenWindow(NamedTuple):
    """What the rings held at one moment.

    `fine` has the last value held: NaN only before the first reading. A step of `coarse` is NaN
    where nothing was known in it; its last column is the newest complete step. `last_at` is NaN for
    a row that has no reading that could be served. `hold_seconds` is that of the row's pod.
    `second` is that of the newest column of `fine`.
    """

    rows: Mapping[Key, int]
    by_series: Mapping[str, Rows]
    fine: Past
    coarse: Past
    last_value: Floats
    last_at: Floats
    period_seconds: Floats
    hold_seconds: Floats
    second: int


class PodRows(dict[str, int]):
    """The row of each series of one pod; a new one is given a row."""

    def __init__(self, new_row: Callable[[], int]) -> None:
        self._new_row = new_row

    def __missing__(self, series: str) -> int:
        row = self[series] = self._new_row()
        return row


class Window:
    """The rings, owned by the tick loop; readers only ever see what `freeze` returns."""

    def __init__(self, hold_seconds: float = 60.0, rows: int = 64) -> None:
        self._hold = Hold(hold_seconds)
        self._pods: defaultdict[str, PodRows] = defaultdict(lambda: PodRows(self._new_row))
        self._free = list(reversed(range(rows)))
        self._rows: Mapping[Key, int] | None = None
        self._by_series: Mapping[str, Rows] = {}
        self._rings = Rings(rows)
        self._last_value = np.full(rows, np.nan)
        self._last_at = np.full(rows, np.nan)
        self._period = np.full(rows, np.nan)
        self._covered = np.full(rows, np.nan)  # of the last second, by spans; see Rings.spread
        self._hold_seconds = np.full(rows, hold_seconds)

    @property
    def hold(self) -> Hold:
        """How long a silence may be before what was held through it is forgotten."""
        return self._hold

    @hold.setter
    def hold(self, hold: Hold) -> None:
        self._hold = hold
        self._spread_hold()

    def append(self, batch: Batch, now: float, spans: Spans | None = None) -> None:
        """Advance to `now` and take in the batch; a point older than its row's newest is history.

        A value from the future of this clock is taken as of now.
        """
        self._rings.advance(int(now))
        rows: list[int] = []
        points: list[Point] = []
        for reading in batch.readings:
            for column in reading.history:
                self._remember(reading, column)
            row_of = self._pods[reading.uid]
            told = reading.points
            rows += [row_of[point.series] for point in told]
            points += told
        if points:
            at = np.array([point.at for point in points])
            values = np.array([point.value for point in points])
            periods = [reading.period_seconds for reading in batch.readings]
            counts = [len(reading.points) for reading in batch.readings]
            self._put(np.array(rows), at, values, np.repeat(periods, counts), now)
        if spans is not None and spans.keys:
            self._put_spans(spans, now)

    def forget(self, keep: Iterable[str]) -> None:
        """Drop the rows of every pod UID that is not in `keep`."""
        kept = set(keep)
        for uid in [uid for uid in self._pods if uid not in kept]:
            for row in self._pods.pop(uid).values():
                self._rings.clear(row)
                for array in (self._last_value, self._last_at, self._period, self._covered):
                    array[row] = np.nan
                self._free.append(row)
            self._rows = None

    def freeze(self) -> FrozenWindow:
        """Return what does not change any more; see Columns for what is copied."""
        if self._rows is None:
            self._rows = {
                (uid, series): row for uid, pod in self._pods.items() for series, row in pod.items()
            }
            self._by_series = by_series(self._rows)
            self._spread_hold()
        fine, coarse = self._rings.freeze()
        return FrozenWindow(
            self._rows,
            self._by_series,
            fine,
            coarse,
            self._last_value.copy(),
            self._last_at.copy(),
            self._period.copy(),
            self._hold_seconds.copy(),
            self._rings.head,
        )

    def _spread_hold(self) -> None:
        """Note each row's hold; a new row has no silence behind it that it could be needed for."""
        self._hold_seconds[:] = self._hold.usual_seconds
        for uid, seconds in self._hold.own.items():
            if rows := self._pods.get(uid):
                self._hold_seconds[list(rows.values())] = seconds

    def _new_row(self) -> int:
        if not self._free:
            self._grow()
        self._rows = None
        return self._free.pop()

    def _remember(self, reading: Reading, column: Column) -> None:
        row = self._pods[reading.uid][column.series]
        self._close_gap(np.array([row]), np.array([reading.at]))
        self._rings.remember(row, column, float(self._last_at[row]))

    def _grow(self) -> None:
        old = len(self._last_at)
        self._rings.grow(old)
        more = np.full(old, np.nan)
        self._last_value = np.concatenate((self._last_value, more))
        self._last_at = np.concatenate((self._last_at, more))
        self._period = np.concatenate((self._period, more))
        self._covered = np.concatenate((self._covered, more))
        usual = np.full(old, self._hold.usual_seconds)
        self._hold_seconds = np.concatenate((self._hold_seconds, usual))
        self._free = list(range(2 * old - 1, old - 1, -1))

    def _put(self, rows: Integers, at: Floats, values: Floats, periods: Floats, now: float) -> None:
        """Write all points at once; of several of one row the newest, written last, stays."""
        at = np.minimum(at, now)
        order = np.argsort(at, kind="stable")
        chosen = order[~(at[order] < self._last_at[rows[order]])]
        rows, at, values = rows[chosen], at[chosen], values[chosen]
        self._close_gap(rows, at)
        self._rings.hold(rows, at.astype(np.int64), values)
        self._last_at[rows] = at
        self._last_value[rows] = values
        self._period[rows] = periods[chosen]

    def _put_spans(self, spans: Spans, now: float) -> None:
        rows = np.array([self._pods[uid][series] for uid, series in spans.keys])
        until = np.minimum(spans.until, now)
        last = self._last_at[rows]
        since = np.fmax(np.minimum(spans.since, until), last)
        new = ~(until <= last)
        rows, since, until, last = rows[new], since[new], until[new], last[new]
        self._close_gap(rows, until)
        in_second = last // 1 == since // 1
        covered = np.where(in_second, self._covered[rows], 0.0)
        values = spans.values[new]
        self._covered[rows] = self._rings.spread(rows, since, until, values, covered)
        self._last_at[rows] = until
        self._last_value[rows] = values
        self._period[rows] = spans.period_seconds[new]

    def _close_gap(self, rows: Integers, at: Floats) -> None:
        """Forget what was held through a silence that was longer than the hold.

        A value that was withheld while it was old must not come back in a mean with a new time.
        """
        last = self._last_at[rows]
        silent = at - last > held_seconds(self._period[rows], self._hold_seconds[rows])
        for row, heard_at in zip(rows[silent], last[silent], strict=True):
            self._rings.forget_since(row, heard_at)
            self._last_at[row] = np.nan
