"""The cold start's P90: how often the next start is within it, after 3, 5, 10 and 50 starts.

The starts are drawn from three shapes: one log-normal mode; two modes with the percentiles of 7,531
real model loads (Alibaba GenTD26: P50 22.7, P90 42.0, P95 45.4, P99 51.9 s; model cached or not);
and loads of which one in five waits for a new node. Drawn, since that file may not be shipped.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from adapter.model.coldstart import PRIOR_P90_SECONDS, estimated
from adapter.model.sighting import Start
from bench.table import markdown

COUNTS = (3, 5, 10, 50)
TRIALS = 4_000
NEXT = 200  # starts that each estimate is held against


def one_mode(dice: np.random.Generator, size: int) -> NDArray[np.float64]:
    return 120.0 * np.exp(0.5 * dice.standard_normal(size))


def two_modes(dice: np.random.Generator, size: int) -> NDArray[np.float64]:
    cached = 21.0 * np.exp(0.15 * dice.standard_normal(size))
    fetched = 41.0 * np.exp(0.10 * dice.standard_normal(size))
    return np.where(dice.random(size) < 0.75, cached, fetched)


def new_nodes(dice: np.random.Generator, size: int) -> NDArray[np.float64]:
    return one_mode(dice, size) + 150.0 * (dice.random(size) < 0.2)


SHAPES = {"log-normal, sd 0.5": one_mode, "cached or not": two_modes, "1 in 5 new node": new_nodes}


def coverage(shape: str, count: int, prior_seconds: float) -> tuple[float, float]:
    """Return the share of next starts within the estimate, and the estimate over the true P90."""
    draw, dice = SHAPES[shape], np.random.default_rng(count)
    truth = float(np.quantile(draw(dice, 1_000_000), 0.9))
    covered, size = [], []
    for _ in range(TRIALS):
        starts = [Start(s, ended=True, at=0.0) for s in draw(dice, count).tolist()]
        p90 = estimated(starts, [], prior_seconds).p90_seconds
        covered.append(float((draw(dice, NEXT) <= p90).mean()))
        size.append(p90 / truth)
    return float(np.mean(covered)), float(np.mean(size))


def main() -> int:
    rows = []
    for shape in SHAPES:
        for prior, words in ((0.0, "none"), (PRIOR_P90_SECONDS[False], "228 s")):
            found = [coverage(shape, count, prior) for count in COUNTS]
            rows.append([shape, words, *(f"{share:.3f} ({size:.2f})" for share, size in found)])
    head = ["starts are", "prior", *(f"n = {count}" for count in COUNTS)]
    title = "Share of next starts within the learnt P90 (and the estimate / the true P90)"
    sys.stdout.write(markdown(title, head, rows, f"{TRIALS:,} learners each; wanted: 0.90."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
