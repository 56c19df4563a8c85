"""Rates: counters of a model server become requests, tokens and preemptions per second.

    arrivals in (t0, t1]  = finished(t1) - finished(t0) + queue(t1) - queue(t0)
    rate                  = that / (t1 - t0)

The rate is taken here, between consecutive frames of one pod and by the ages they carry, and not in
the sidecar: every kind of source has counters alike, a counter forgives a lost frame, and a sidecar
that restarts has nothing to remember. Each rate is the mean over its interval and is spread over
the seconds of it, so the sum over a window is what was counted in it, however uneven the frames.

No spike comes of a restart, a gap or a new pod: a counter that fell, a source that began anew and a
silence longer than the hold begin a new interval, and what was counted across it is left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from adapter.model.batch import Batch, Column, ModelState, Origin, Reading, Spans, Totals
from adapter.model.catalogue import CEILINGS, RATES
from adapter.model.freshness import held_seconds
from adapter.model.hold import Hold

# Between frames that a network held up and handed on together lies no time that can be divided by;
# their counts go into the next interval.
SHORTEST_SECONDS = 0.5

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
_CEILINGS = np.array([CEILINGS[series] for series in RATES])


class Meters:
    """What each pod's counters last said; owned by the tick loop."""

    def __init__(self, hold_seconds: float = 60.0) -> None:
        self.hold = Hold(hold_seconds)
        self._row_of: dict[str, int] = {}
        self._life: dict[str, str] = {}
        self._begun: set[str] = set()
        self._free: list[int] = []
        self._at = np.empty(0)
        self._counters = np.empty((0, 3))
        self._reached = np.empty((0, 3))  # counters with arrivals in place of finished requests

    def measure(self, batch: Batch) -> Spans:
        """Return the rates since each pod's reading before; none for its first one."""
        latest: dict[str, Reading] = {}
        pod, loading = Origin.POD, ModelState.LOADING  # looked up once: it costs 0.2 us on 3.11
        for reading in batch.readings:
            if reading.origin is not pod:  # it counts nothing, and lives a life of its own
                continue
            uid = reading.uid
            if self._life.get(uid) != reading.life or reading.model is loading:
                self._life[uid] = reading.life
                self._begun.discard(uid)
            if reading.totals:
                latest[uid] = reading
                if uid not in self._begun:
                    self._begin(reading)
        if not latest:
            return Spans([], *(np.empty(0) for _ in range(4)))
        return self._advance(list(latest), list(latest.values()))

    def forget(self, keep: Iterable[str]) -> None:
        """Drop every pod UID that is not in `keep`."""
        for uid in self._life.keys() - set(keep):
            del self._life[uid]
            self._begun.discard(uid)
            if uid in self._row_of:  # one that counts nothing has none
                self._free.append(self._row_of.pop(uid))

    def _begin(self, reading: Reading) -> None:
        """Give a pod its first values, from its backlog where it sent one."""
        row = self._row_of.get(reading.uid)
        if row is None:
            row = self._row_of[reading.uid] = self._new_row()
        first = _table((reading,), 0)
        self._at[row] = first[0, 0]
        self._counters[row], self._reached[row] = first[0, 2:5], _reached(first)[0]
        self._begun.add(reading.uid)

    def _new_row(self) -> int:
        if not self._free:
            old = len(self._at)
            more = max(64, old)
            self._at = np.concatenate((self._at, np.full(more, np.nan)))
            nothing = np.full((more, 3), np.nan)
            self._counters = np.concatenate((self._counters, nothing))
            self._reached = np.concatenate((self._reached, nothing))
            self._free = list(range(old + more - 1, old - 1, -1))
        return self._free.pop()

    def _advance(self, uids: Sequence[str], readings: Sequence[Reading]) -> Spans:
        rows = np.array([self._row_of[uid] for uid in uids])
        found = _table(readings, -1)
        at, period = found[:, 0], found[:, 1]
        since, reached = self._at[rows], _reached(found)
        elapsed = at - since
        fell = (found[:, 2:5] < self._counters[rows]).any(axis=1)
        anew = fell | (elapsed > held_seconds(period, self.hold.each(uids)))
        due = anew | (elapsed >= SHORTEST_SECONDS)
        gained = np.maximum(reached - self._reached[rows], 0.0)
        rates = gained / np.where(due & ~anew, elapsed, np.nan)[:, np.newaxis]
        self._keep(rows, at, found, np.where(anew[:, np.newaxis], np.nan, self._reached[rows]), due)
        rates[rates > _CEILINGS] = np.nan
        return _spans(uids, since, at, rates, period)

    def _keep(
        self,
        rows: NDArray[np.int64],
        at: Floats,
        found: Floats,
        before: Floats,
        due: NDArray[np.bool_],
    ) -> None:
        reached = _reached(found)
        # Where it is not known what runs, a request that leaves the queue is missing until it has
        # finished: arrivals stay where they were. Elsewhere one that is gone was given up.
        partial = found[:, 6] == 0
        reached[partial, 0] = np.fmax(reached[partial, 0], before[partial, 0])
        kept = rows[due]
        self._at[kept] = at[due]
        self._counters[kept] = found[due, 2:5]
        self._reached[kept] = reached[due]


def past(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the rates of a backlog whose counters and queue are given as means of equal steps.

    The mean of a counter over a step is its value about the middle of it, so a rate here is that
    between the middles of two steps. None where a step is not known or a counter fell.
    """
    by_name = {column.series: column for column in columns}
    finished = by_name.get("finished_total")
    waiting, inflight = by_name.get("pending"), by_name.get("inflight")
    found = {
        "output_tokens_per_second": by_name.get("output_tokens_total"),
        "preemptions_per_second": by_name.get("preemptions_total"),
    }
    rates = [_speed(series, column) for series, column in found.items() if column]
    if finished and (queue := inflight or waiting):
        rates.append(_arrivals(finished, queue, whole=inflight is not None))
    return tuple(rates)


def newest(columns: Sequence[Column]) -> Totals | None:
    """Return the totals of the last step of a backlog, None where it has no counter then."""
    last = {column.series: column.values[-1] for column in columns if column.values}
    inflight = last.get("inflight")
    found = Totals(
        columns[0].newest_at if columns else 0.0,
        last.get("finished_total"),
        last.get("output_tokens_total"),
        last.get("preemptions_total"),
        last.get("pending") if inflight is None else inflight,
        inflight is not None,
    )
    counters = (found.finished, found.output_tokens, found.preemptions)
    return None if all(counter is None for counter in counters) else found


def _speed(series: str, counter: Column) -> Column:
    step = counter.step_seconds
    rates: list[float | None] = []
    for before, after in itertools.pairwise(counter.values):
        if before is None or after is None:
            rates.append(None)
        else:
            rates.append(_possible(series, (after - before) / step))
    return Column(series, counter.newest_at - step / 2, step, tuple(rates))


def _arrivals(finished: Column, queue: Column, *, whole: bool) -> Column:
    series, step = "arrivals_per_second", finished.step_seconds
    rates: list[float | None] = []
    before, reached = math.inf, math.nan  # of the step before; NaN: the next one begins anew
    for done, queued in zip(finished.values, queue.values, strict=False):
        if done is None or queued is None:
            before, reached = math.inf, math.nan
            rates.append(None)
            continue
        now = done + queued
        gained = max(now - reached, 0.0) if done >= before else math.nan
        rates.append(_possible(series, gained / step))
        reached = now if whole or math.isnan(gained) else max(now, reached)
        before = done
    return Column(series, finished.newest_at - step / 2, step, tuple(rates[1:]))


def _possible(series: str, rate: float) -> float | None:
    return rate if 0 <= rate <= CEILINGS[series] else None


def _table(readings: Sequence[Reading], which: int) -> Floats:
    """Return a row of each: time, period, the three counters, queue, whether it is the whole."""
    found = itertools.chain.from_iterable(structs.astuple(r.totals[which]) for r in readings)
    totals = np.fromiter(found, np.float64).reshape(len(readings), -1)
    return np.insert(totals, 1, [r.period_seconds for r in readings], axis=1)


def _reached(table: Floats) -> Floats:
    """Return the counters with finished requests and queue added up to arrivals."""
    reached = table[:, 2:5].copy()
    reached[:, 0] += table[:, 5]
    return reached


def _spans(uids: Sequence[str], since: Floats, at: Floats, rates: Floats, period: Floats) -> Spans:
    places, columns = np.nonzero(~np.isnan(rates))
    keys = [(uids[p], RATES[c]) for p, c in zip(places.tolist(), columns.tolist(), strict=True)]
    return Spans(keys, since[places], at[places], rates[places, columns], period[places])
