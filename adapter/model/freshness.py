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


def grade(
    age_seconds: NDArray[np.float64], period_seconds: NDArray[np.float64], hold_seconds: float
) -> NDArray[np.int8]:
    """Return the Freshness of each reading; NaN ages (never read) are GONE."""
    grades = np.full(len(age_seconds), Freshness.GONE, dtype=np.int8)
    held = age_seconds <= np.maximum(hold_seconds, HELD_PERIODS * period_seconds)
    grades[held] = Freshness.HELD
    grades[age_seconds <= FRESH_PERIODS * period_seconds] = Freshness.FRESH
    return grades
