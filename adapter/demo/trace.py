"""The trace: most of an hour of requests to a real LLM service, replayed faster than it was."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Mapping
from importlib import resources

SPAN_SECONDS = 3437
NAME = "Azure LLM inference trace 2023 (code)"

# At 8:20 of the trace a quiet minute ends in a burst of eight requests a second for two minutes,
# then come two minutes without any: up and down again within three minutes at five times its speed.
START_SECONDS = 500


def load() -> dict[int, int]:
    """Return the requests by second of the trace; a second without requests has no entry."""
    text = resources.files("adapter.demo").joinpath("trace.csv").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {int(row["t"]): int(row["requests"]) for row in csv.DictReader(lines)}


def arrivals(
    counts: Mapping[int, int], *, start_seconds: int, speed: float, seed: int
) -> Iterator[float]:
    """Yield the time of each request, in seconds from now on, for ever.

    The trace says how many came in a second; where within it is drawn. After its end it begins
    anew.
    """
    dice = random.Random(seed)  # noqa: S311 - a demo, not a secret
    second = 0
    while True:
        count = counts.get((start_seconds + second) % SPAN_SECONDS, 0)
        yield from sorted((second + dice.random()) / speed for _ in range(count))
        second += 1
