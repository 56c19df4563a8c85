"""The views: which columns of the window a view looks at, and what becomes of them.

Up to a minute a view looks at seconds, beyond it at ten-second means: the steps that are complete,
the part of the oldest one that is still in the window, and the seconds since the newest one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.model import smooth
from adapter.model.catalogue import QUANTILES, Stat, View
from adapter.model.rings import COARSE_SECONDS, COARSE_SLOTS, FINE_SLOTS, Floats, Integers
from adapter.model.window import FrozenWindow

# How fast the rising view follows a rise: one default window of a queue.
RISE_SECONDS = 15
# Half-lives after which an exponential mean has forgotten: 1/16 is left.
_HALF_LIVES = 4

Columns = tuple[NDArray[np.float32], Floats]  # [rows, columns], and how many seconds each is


def look(view: View, window: FrozenWindow, rows: Integers) -> Floats:
    """Return the level of each row in this view, NaN where it has none."""
    seconds, share = view.window_seconds, QUANTILES.get(view.stat)
    if view.stat is Stat.RAW:
        return window.last_value[rows]
    if view.stat is Stat.EWMA:
        return smooth.ewma(*_columns(window, rows, _memory(seconds)), seconds)
    if view.stat is Stat.MAX:
        return smooth.highest(_columns(window, rows, seconds, COARSE_SECONDS)[0])
    if share is not None:
        return smooth.quantile(*_columns(window, rows, seconds), share)
    level = smooth.mean(*_columns(window, rows, seconds))
    if view.stat is Stat.RISE and seconds > RISE_SECONDS:
        level = np.fmax(level, smooth.mean(*_columns(window, rows, RISE_SECONDS)))
    return level


def _memory(half_life_seconds: int) -> int:
    """Return how far back an exponential mean looks: the minute if it has forgotten by then."""
    minute_is_enough = _HALF_LIVES * half_life_seconds <= FINE_SLOTS
    return FINE_SLOTS if minute_is_enough else COARSE_SLOTS * COARSE_SECONDS


def _columns(window: FrozenWindow, rows: Integers, seconds: int, tail: int = 0) -> Columns:
    """Return the last so many seconds; beyond a minute the last column means `tail` seconds.

    A `tail` of 0 is the seconds since the newest complete step, so that no second counts twice.
    """
    if seconds <= FINE_SLOTS:
        return window.fine[:, -seconds:][rows], np.ones(seconds)
    begun = window.second % COARSE_SECONDS + 1  # seconds of the step under way
    steps = seconds // COARSE_SECONDS
    since = _mean_of_known(window.fine[:, -(tail or begun) :][rows])
    values = np.concatenate((window.coarse[:, -steps:][rows], since), axis=1)
    weights = np.full(steps + 1, float(COARSE_SECONDS))
    weights[0], weights[-1] = COARSE_SECONDS - begun, begun
    return (values, weights) if begun < COARSE_SECONDS else (values[:, 1:], weights[1:])


def _mean_of_known(seconds: NDArray[np.float32]) -> NDArray[np.float32]:
    found = smooth.mean(seconds, np.ones(seconds.shape[1]))
    return found.astype(np.float32)[:, np.newaxis]
