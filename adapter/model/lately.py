"""The lately: the demand of the last two hours, half-minute by half-minute, to go through again."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from adapter.model.memo import Memo

TICKS = 240  # after two hours the levels have forgotten where they began


class Lately:
    """Owns the mean demand of each of the last ticks, NaN where there was none."""

    def __init__(self) -> None:
        self._values = np.full(TICKS, np.nan)

    def add(self, tick: int, value: float, before: int | None) -> None:
        """Add a tick's demand; `before` is the tick before it, None where it begins anew."""
        if before is None:
            self._values[:] = np.nan
        else:
            for missed in range(max(before + 1, tick - TICKS), tick):
                self._values[missed % TICKS] = np.nan
        self._values[tick % TICKS] = value

    def until(self, newest: int) -> Iterator[tuple[int, float, float]]:
        """Yield each tick with its demand, and with that of the minute that ended with it."""
        last = math.nan
        for tick in range(newest - TICKS + 1, newest + 1):
            value = float(self._values[tick % TICKS])
            if not math.isnan(value):
                yield tick, value, value if math.isnan(last) else (last + value) / 2.0
            last = value

    def memorise(self, memo: Memo) -> None:
        """Hand over all of it."""
        memo.figures(self._values, gaps=True)
