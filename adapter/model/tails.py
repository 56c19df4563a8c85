"""The tails: what a ring of figures must keep so that its high quantiles stay what they are.

Of each column the highest figures are kept in their places, in a byte each; of the others that they
were there. As rows grow old and are written over, the quantile of what stays is the true one,
unless what is new is so much lower that it would be among the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ring = NDArray[np.float32]

KEPT_SHARE = 0.15  # of a column; its 95th percentile is what is asked for
_LOWEST, _STEP = -2.0, 0.04  # of a residual in units of its size: from -2 to 8
_OTHER, _FIRST, _LAST, _NONE = 0, 1, 254, 255


def tails(ring: Ring) -> Bytes:
    """Return of a ring [rows, columns] what is kept of it, a byte for each figure."""
    if not len(ring):
        return np.zeros(ring.shape, np.uint8)
    count = np.isfinite(ring).sum(axis=0)
    last = np.maximum(np.ceil(KEPT_SHARE * count).astype(np.int64) - 1, 0)
    least = np.take_along_axis(-np.sort(-ring, axis=0), last[None], axis=0)  # NaN last
    steps = np.clip(np.rint((ring - _LOWEST) / _STEP) + _FIRST, _FIRST, _LAST)
    steps = np.where(ring >= least, steps, _OTHER)
    return np.where(np.isnan(ring), _NONE, steps).astype(np.uint8)


def ring_of(kept: Bytes) -> Ring:
    """Return a ring [rows, columns] of which this was kept; others are as the least that was."""
    known = (kept != _OTHER) & (kept != _NONE)
    steps = np.where(known, kept, np.inf)
    least = np.min(steps, axis=0, initial=_LAST)
    steps = np.where(kept == _OTHER, least, steps) - _FIRST
    return np.where(kept == _NONE, np.nan, steps * _STEP + _LOWEST).astype(np.float32)
