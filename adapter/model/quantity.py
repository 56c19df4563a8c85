"""Quantities: a float becomes the integer milli-value that Kubernetes clients read, and back.

Clients take a quantity's MilliValue, which rounds away from zero and wraps above 9.22e15, so every
value is made an integer milli here and clamped to what an HPA can add up over its pods.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

# MilliValue() wraps to 0 at 9.22e15, and an HPA adds the milli-values of its pods in an int64
# (9.22e18): 9e15 is the highest figure that survives both for 1,000 pods. The catalogue's ceilings
# are lower; this is the last line.
MAX_MILLI = 9 * 10**15

# HPAs read milli-values as int64: one beyond it becomes 0 or a number of no meaning.
_INT64_MAX = 2**63 - 1
# Bounds the arithmetic of a hostile text; the longest that says something has 20 digits.
_MAX_LENGTH = 100
# Higher powers of ten change nothing: with _MAX_LENGTH digits they are too big, or round to 1.
_MAX_EXPONENT = 200

# Around the number may stand what Go's unicode.IsSpace takes: `\s` less the four separators.
_SPACE = r"[^\S\x1c-\x1f]*"
_NUMBER = r"(?P<sign>[+-]?)(?:(?P<whole>[0-9]+)\.?(?P<part>[0-9]*)|\.(?P<only_part>[0-9]+))"
_SUFFIX = r"(?P<unit>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+)"
_GRAMMAR = re.compile(f"{_SPACE}{_NUMBER}(?:{_SUFFIX})?{_SPACE}")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


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

    Takes what Go's resource.ParseQuantity takes, exactly, but for a suffix without a number, which
    Go reads as 0. Raises ValueError naming the text, also where the milli-value is no int64. This
    is the reading side of HPA manifests.
    """
    match = _GRAMMAR.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        shown = text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
        raise ValueError(f"`{shown}` is no quantity: write a number such as 5, 0.5, 500m or 2k")
    milli = _magnitude_milli(match)
    if milli > _INT64_MAX:
        raise ValueError(f"`{text}` is too big: Kubernetes counts thousandths, up to {_INT64_MAX}")
    return -milli if match["sign"] == "-" else milli


def _magnitude_milli(match: re.Match[str]) -> int:
    """Return the thousandths of a number without its sign, rounded up: in integers, as Go does."""
    part = match["part"] or match["only_part"] or ""
    digits = int((match["whole"] or "") + part) << _BINARY.get(match["unit"], 0)
    power = _DECIMAL.get(match["unit"], 0) + int(match["exponent"] or 0)
    tens = min(max(power, -_MAX_EXPONENT), _MAX_EXPONENT) - len(part) + 3
    scale: int = 10 ** abs(tens)
    return digits * scale if tens >= 0 else -(-digits // scale)
