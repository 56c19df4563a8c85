"""Smoothing: how the window of a series becomes one level.

All functions take [rows, columns] arrays whose time runs left to right and return [rows], NaN where
a row has no value. Columns are already carried forward, so each stands for one whole step and a
plain mean over columns is the time-weighted mean with the last value held.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def carry_forward(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values with each NaN replaced by the last value before it in its row.

    Fastest where a column lies together in memory, as the rings of the window do.
    """
    filled = values.copy(order="K")
    for column in range(1, filled.shape[1]):
        here = filled[:, column]
        np.copyto(here, filled[:, column - 1], where=np.isnan(here))
    return filled


def mean(values: Array, columns: int) -> NDArray[np.float64]:
    """Return the mean of the last `columns` columns: sum(x_i) / n over the known ones.

    Step response: linear, complete after the whole window.
    """
    return _weighted(values[:, -columns:], np.ones(min(columns, values.shape[1])))


def ewma(values: Array, half_life_columns: float) -> NDArray[np.float64]:
    """Return the exponentially weighted mean, w_i = 2 ** (-age_i / half_life), over all columns.

    The weights end with the array, so a series that is exactly 0 all through it gives exactly 0.
    Step response: 1 - 2 ** (-t / half_life), within the length of the array.
    """
    ages = np.arange(values.shape[1] - 1, -1, -1)
    return _weighted(values, 0.5 ** (ages / half_life_columns))


def _weighted(values: Array, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0) @ weights
    weight = known @ weights
    out = np.full(len(values), np.nan)
    np.divide(total, weight, out=out, where=weight > 0)
    return out
