"""The season: what a day usually looks like, learnt from the days before.

Demand is kept as means of ten minutes over seven days. A time of day is what it was on the last
days, each a factor 0.6 less important than the one after it; times in between are interpolated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.model.memo import Memo

SLOT_SECONDS = 600.0
SLOTS = 144
DAYS = 7
DAY_WEIGHT = 0.6

Figures = NDArray[np.float64]


class Season:
    """Owns the profile of one demand; times are seconds of any clock, days are 86,400 s of it."""

    def __init__(self) -> None:
        self._slots = np.full(DAYS * SLOTS, np.nan)  # a ring over absolute slot numbers
        self._slot: int | None = None
        self._told: int | None = None  # whose profile this is
        self._total, self._count = 0.0, 0
        self._profile = np.full(SLOTS, np.nan)
        self._peaks = np.full(SLOTS, np.nan)

    def add(self, now: float, value: float) -> None:
        """Add a demand; times ascend."""
        slot = int(now // SLOT_SECONDS)
        if self._slot is None:
            self._slot = slot
        if slot > self._slot:
            self._close(self._slot, slot)
        self._total += value
        self._count += 1

    def memorise(self, memo: Memo) -> None:
        """Hand over what is kept of it; the profile follows from that."""
        self._slot = memo.whole(self._slot or 0) or None
        self._total = memo.real(self._total) or 0.0
        self._count = memo.whole(self._count)
        memo.figures(self._slots, gaps=True)
        if self._slot is not None:
            self._tell(self._slot)

    def as_of(self, now: float) -> None:
        """Tell from now on what was usual then, at a time of the last days; times ascend."""
        slot = int(now // SLOT_SECONDS)
        if slot != self._told:
            self._tell(slot)

    def at(self, times: Figures) -> Figures:
        """Return the usual demand at these times; NaN where no day told it yet."""
        place = times / SLOT_SECONDS - 0.5  # a mean stands in the middle of its slot
        before = np.floor(place).astype(np.int64)
        share = place - before
        first, then = self._profile[before % SLOTS], self._profile[(before + 1) % SLOTS]
        return np.asarray(first * (1.0 - share) + then * share)

    def peaks_at(self, times: Figures) -> Figures:
        """Return the highest usual demand within about ten minutes of these times, or NaN."""
        return np.asarray(self._peaks[(times // SLOT_SECONDS).astype(np.int64) % SLOTS])

    def _close(self, old: int, slot: int) -> None:
        size = len(self._slots)
        self._slots[old % size] = self._total / self._count
        for missed in range(max(old + 1, slot - size), slot):
            self._slots[missed % size] = np.nan
        self._slot, self._total, self._count = slot, 0.0, 0
        self._slots[slot % size] = np.nan  # a week ago makes room
        self._tell(slot)

    def _tell(self, slot: int) -> None:
        self._told = slot
        self._profile = self._usual(slot)
        around = np.stack([np.roll(self._profile, by) for by in (-1, 0, 1)])
        self._peaks = np.fmax.reduce(around, axis=0)

    def _usual(self, slot: int) -> Figures:
        """Return the profile [SLOTS] by slot of the day: each takes its past values alone."""
        ago = (slot - 1 - np.arange(SLOTS)) % SLOTS  # slots back to the last such time of day
        back = slot - 1 - ago[None, :] - SLOTS * np.arange(DAYS)[:, None]
        values = self._slots[back % len(self._slots)]
        newest = slot if self._slot is None else self._slot
        values[newest - back >= len(self._slots)] = np.nan  # their place is another's by now
        known = np.isfinite(values)
        weight = np.where(known, DAY_WEIGHT ** np.arange(DAYS)[:, None], 0.0)
        total = weight.sum(axis=0)
        mean = (weight * np.where(known, values, 0.0)).sum(axis=0)
        return np.where(total > 0, mean / np.maximum(total, 1e-300), np.nan)
