"""Quantities: a float becomes the integer milli-value that Kubernetes clients read, and back.

Clients take a quantity's MilliValue, which rounds away from zero and wraps above 9.22e15, so every
value is made an integer milli here and clamped to what an HPA can add up over its pods.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

# MilliValue() wraps to 0 at 9.22e15, and an HPA adds the milli-values of its pods in an int64
# (9.22e18): 9e15 is the highest figure that survives both for 1,000 pods. The catalogue's ceilings
# are lower; this is the last line.
MAX_MILLI = 9 * 10**15

_GRAMMAR = re.compile(r"([+-]?\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTOR = {
    None: 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


def is_quantity(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which values can be sent.

    NaN, infinities and negatives cannot: those are no measurement, and an HPA would read a negative
    total as an overflow and jump to its maximum.
    """
    return np.isfinite(values) & (values >= 0)


def to_milli(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return values that can be sent in thousandths, rounded to nearest, MAX_MILLI at most."""
    milli: NDArray[np.float64] = np.rint(np.minimum(values, MAX_MILLI) * 1000)
    return np.minimum(milli, MAX_MILLI).astype(np.int64)


def format_milli(milli: int) -> str:
    """Return the Kubernetes spelling of a milli-value: whole numbers plain, others with `m`."""
    whole, rest = divmod(milli, 1000)
    return f"{milli}m" if rest else str(whole)


def parse_milli(text: str) -> int:
    """Return the milli-value of a quantity such as `5`, `1500m` or `2k`, rounded away from zero.

    Raises ValueError naming the text. This is the reading side of HPA manifests.
    """
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"`{text}` is no quantity: write a number such as 5, 0.5, 500m or 2k")
    scaled = float(match[1]) * _FACTOR[match[2]] * 1000
    # Go rounds MilliValue away from zero; the tiny slack keeps 0.3 (0.30000000000000004) at 300.
    return math.ceil(scaled - 1e-6) if scaled >= 0 else math.floor(scaled + 1e-6)
