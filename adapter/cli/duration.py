"""The duration: a time as people write it on a command line."""

from __future__ import annotations

import argparse
import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)?")
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Return the seconds of `60s`, `5m`, `2h`, `7d` or a bare figure; it may be 0."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"`{text}` is no time: write 60s, 5m, 2h or seconds")
    return float(match[1]) * _SECONDS[match[2]]


def some_time(text: str) -> float:
    """Return the seconds of a time above 0."""
    match = _DURATION.fullmatch(text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"`{text}` is no time: write 60s, 5m or seconds above 0")
    return duration(text)
