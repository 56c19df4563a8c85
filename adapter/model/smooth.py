"""Smoothing: how the window of a series becomes one level.

All functions take [rows, columns] arrays whose time runs left to right, and `seconds` [columns]:
how much of the window each column stands for. They return [rows], NaN where a row has no value;
columns that are NaN count for nothing. The last value is held in the columns already, so weighting
them by their seconds is weighting by time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Floats = NDArray[np.float64]
_SLACK = 1e-9  # of a share: 0.95 x 20 is a little over 19


def carry_forward(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values with each NaN replaced by the last value before it in its row."""
    filled = values.copy(order="K")
    for column in range(1, filled.shape[1]):
        here = filled[:, column]
        np.copyto(here, filled[:, column - 1], where=np.isnan(here))
    return filled


def mean(values: Array, seconds: Floats) -> Floats:
    """Return the time-weighted mean: sum(w_i x_i) / sum(w_i).

    Step response: linear, complete after the whole window.
    """
    return _weighted(values, seconds)


def ewma(values: Array, seconds: Floats, half_life_seconds: float) -> Floats:
    """Return the exponentially weighted mean, w_i = seconds_i x 2 ** (-age_i / half_life).

    The age is that of a column's middle. The weights end with the array, so a series that is
    exactly 0 all through it gives exactly 0. Step response over an array of T seconds:
    (1 - 2 ** (-t / half_life)) / (1 - 2 ** (-T / half_life)).
    """
    after = np.cumsum(seconds[::-1])[::-1] - seconds / 2
    return _weighted(values, seconds * 0.5 ** (after / half_life_seconds))


def highest(values: Array) -> Floats:
    """Return the maximum. Step response: at once upwards, after the whole window downwards."""
    found: Array = np.fmax.reduce(values, axis=1)
    return found.astype(np.float64)


def quantile(values: Array, seconds: Floats, share: float) -> Floats:
    """Return the level that was not exceeded for `share` of the time.

    That is the inverse of the distribution function, definition 1 of Hyndman and Fan, "Sample
    Quantiles in Statistical Packages" (The American Statistician 50, 1996): always a value that
    was held, never one between two. Step response: after 1 - share of the window upwards, after
    share of it downwards.
    """
    if np.all(seconds == seconds[0]):
        ordered = np.sort(values, axis=1)  # NaN last
        known = values.shape[1] - np.isnan(values).sum(axis=1)
        place = np.ceil(known * share - _SLACK * max(1, values.shape[1])).astype(np.int64) - 1
        return _picked(ordered, np.maximum(place, 0))
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    held = np.where(np.isnan(ordered), 0.0, seconds[order]).cumsum(axis=1)
    reached = held >= held[:, -1:] * (share - _SLACK)
    return _picked(ordered, reached.argmax(axis=1))


def histogram_quantile(bounds: Floats, counts: Floats, share: float) -> Floats:
    """Return the quantile of each row of cumulative bucket counts, NaN without an observation.

    `bounds` [n] are the finite upper bounds, `counts` [rows, n + 1] end with +Inf. As Prometheus'
    histogram_quantile (promql/quantile.go, bucketQuantile): observations lie evenly within their
    bucket, the first bucket begins at 0, and what falls into the +Inf bucket is the highest finite
    bound. Counts that fall are taken as the highest before them, as there.
    """
    counts = np.maximum.accumulate(counts, axis=1)
    total = counts[:, -1]
    rank = share * total
    bucket = (counts >= rank[:, np.newaxis]).argmax(axis=1)
    finite = np.minimum(bucket, len(bounds) - 1)
    rows = np.arange(len(counts))
    below = np.where(finite > 0, counts[rows, finite - 1], 0.0)
    inside = counts[rows, finite] - below
    start = np.where(finite > 0, bounds[finite - 1], 0.0)
    part = np.divide(rank - below, inside, out=np.ones(len(counts)), where=inside > 0)
    found = np.where(bucket < len(bounds), start + (bounds[finite] - start) * part, bounds[-1])
    return np.where(total > 0, found, math.nan)


def _picked(values: Array, places: NDArray[np.int64]) -> Floats:
    return np.take_along_axis(values, places[:, np.newaxis], axis=1)[:, 0].astype(np.float64)


def _weighted(values: Array, weights: Floats) -> Floats:
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0) @ weights
    weight = known @ weights
    out = np.full(len(values), np.nan)
    np.divide(total, weight, out=out, where=weight > 0)
    return out
