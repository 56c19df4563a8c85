"""The night: from one hour of UTC until before another, as `22-6`."""

from __future__ import annotations

HOURS = 24


def parse(text: str) -> tuple[int, int]:
    """Return its two hours; raise ValueError where it is none, or none of the day is in it."""
    first, dash, last = text.partition("-")
    both = [int(one) for one in (first, last) if one.isascii() and one.isdigit() and len(one) <= 2]  # noqa: PLR2004
    if not dash or len(both) != 2 or max(both) > HOURS or _empty(*both):  # noqa: PLR2004
        raise ValueError(f"`{text}` is no night: write two hours, such as 22-6")
    return both[0] % HOURS, both[1]


def hours(night: tuple[int, int]) -> list[int]:
    """Return the hours from the first until before the last, also across midnight; 0-24 is all."""
    first, last = night
    return [(first + n) % HOURS for n in range((last - first) % HOURS or HOURS)]


def _empty(first: int, last: int) -> bool:
    return first in (last, last + HOURS)
