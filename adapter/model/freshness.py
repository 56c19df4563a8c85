"""The freshness ladder: how old a reading may be, in periods of its source, and what follows."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FRESH_PERIODS = 2  # one missed frame is no news
HELD_PERIODS = 4


class Freshness(IntEnum):
    """FRESH is served, HELD too but lets no total fall, GONE is left out."""

    FRESH = 0
    HELD = 1
    GONE = 2


def held_seconds(
    period_seconds: NDArray[np.float64], hold_seconds: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how old a reading of each period may be and still be served; NaN has no age."""
    return np.fmax(hold_seconds, HELD_PERIODS * period_seconds)


def grade(
    age_seconds: NDArray[np.float64],
    period_seconds: NDArray[np.float64],
    hold_seconds: float | NDArray[np.float64],
) -> NDArray[np.int8]:
    """Return the Freshness of each reading; NaN ages (never read) are GONE."""
    grades = np.full(len(age_seconds), Freshness.GONE, dtype=np.int8)
    grades[age_seconds <= held_seconds(period_seconds, hold_seconds)] = Freshness.HELD
    grades[age_seconds <= FRESH_PERIODS * period_seconds] = Freshness.FRESH
    return grades
