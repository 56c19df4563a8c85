"""A synthetic day of demand by the second: a wave, a rush after noon, and noise that lasts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

DAY_SECONDS = 86_400
BEGIN = 1_700_006_400.0  # a midnight, in Unix seconds

Figures = NDArray[np.float64]


def demand(
    seconds: int, seed: int, noise: float = 0.1, noise_seconds: float = 60.0, begin: int = 0
) -> Figures:
    """Return requests in flight at each second from `begin` after a midnight on.

    The noise is a first-order autoregression of the logarithm: of this size, and lasting so long.
    """
    hour = (begin + np.arange(seconds)) % DAY_SECONDS / 3_600
    usual = 40.0 + 30.0 * np.sin(2 * np.pi * (hour - 9) / 24)
    usual[(hour >= 13) & (hour < 13.7)] *= 2.2
    keep = math.exp(-1.0 / noise_seconds)
    steps = math.sqrt(1.0 - keep**2) * np.random.default_rng(seed).standard_normal(seconds)
    level, found = 0.0, np.empty(seconds)
    for second, step in enumerate(steps.tolist()):
        level = keep * level + step
        found[second] = level
    return usual * np.exp(noise * found)


def trailing(values: Figures, seconds: int) -> Figures:
    """Return the mean of so many seconds up to each."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    end = np.arange(1, len(values) + 1)
    first = np.maximum(0, end - seconds)
    return np.asarray((total[end] - total[first]) / (end - first))
