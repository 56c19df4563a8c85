"""The views: which columns of the window a view looks at, and what becomes of them.

Up to a minute a view looks at seconds, beyond it at ten-second means: the steps that are complete,
the part of the oldest one that is still in the window, and the seconds since the newest one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adapter.model import smooth
from adapter.model.catalogue import QUANTILES, Stat, View
from adapter.model.columns import Floats, Integers, Ring
from adapter.model.rings import COARSE_SECONDS, COARSE_SLOTS, FINE_SLOTS
from adapter.model.window import FrozenWindow

# How fast the rising view follows a rise: one default window of a queue.
RISE_SECONDS = 15
# Half-lives after which an exponential mean has forgotten: 1/16 is left.
_HALF_LIVES = 4

Columns = tuple[Ring, Floats]  # [rows, columns], and how many seconds each is


class Look(NamedTuple):
    """The level of each row in one view, NaN where it has none, and how much of it is known.

    `seconds` is the part of the view's window in which the row was known: less than the window for
    a pod that is younger, 0 for the last reading alone.
    """

    levels: Floats
    seconds: Floats


def look(view: View, window: FrozenWindow, rows: Integers) -> Look:
    """Return what each row is in this view."""
    if view.stat is Stat.RAW:
        return Look(window.last_value[rows], np.zeros(len(rows)))
    seconds = _memory(view.window_seconds) if view.stat is Stat.EWMA else view.window_seconds
    columns, weights = _columns(window, rows, seconds)
    levels = _levels(view, window, rows, columns, weights)
    return Look(levels, np.minimum(~np.isnan(columns) @ weights, view.window_seconds))


def _levels(
    view: View, window: FrozenWindow, rows: Integers, columns: Ring, weights: Floats
) -> Floats:
    match view.stat:
        case Stat.EWMA:
            return smooth.ewma(columns, weights, view.window_seconds)
        case Stat.MAX:
            return smooth.highest(_columns(window, rows, view.window_seconds, COARSE_SECONDS)[0])
        case Stat.MEAN:
            return smooth.mean(columns, weights)
        case Stat.RISE:
            recent = smooth.mean(*_columns(window, rows, min(RISE_SECONDS, view.window_seconds)))
            return np.fmax(smooth.mean(columns, weights), recent)
        case _:
            return smooth.quantile(columns, weights, QUANTILES[view.stat])


def _memory(half_life_seconds: int) -> int:
    """Return how far back an exponential mean looks: the minute if it has forgotten by then."""
    minute_is_enough = _HALF_LIVES * half_life_seconds <= FINE_SLOTS
    return FINE_SLOTS if minute_is_enough else COARSE_SLOTS * COARSE_SECONDS


def _columns(window: FrozenWindow, rows: Integers, seconds: int, tail: int = 0) -> Columns:
    """Return the last so many seconds; beyond a minute the last column means `tail` seconds.

    A `tail` of 0 is the seconds since the newest complete step, so that no second counts twice.
    """
    if seconds <= FINE_SLOTS:
        return window.fine.of(rows, seconds), np.ones(seconds)
    begun = window.second % COARSE_SECONDS + 1  # seconds of the step under way
    steps = seconds // COARSE_SECONDS
    since = _mean_of_known(window.fine.of(rows, tail or begun))
    values = np.concatenate((window.coarse.of(rows, steps), since), axis=1)
    weights = np.full(steps + 1, float(COARSE_SECONDS))
    weights[0], weights[-1] = COARSE_SECONDS - begun, begun
    return (values, weights) if begun < COARSE_SECONDS else (values[:, 1:], weights[1:])


def _mean_of_known(seconds: Ring) -> Ring:
    found = smooth.mean(seconds, np.ones(seconds.shape[1]))
    return found.astype(np.float32)[:, np.newaxis]
