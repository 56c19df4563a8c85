"""Histograms: those of a frame become Buckets, or nothing with the reason in words."""

from __future__ import annotations

import functools
import itertools
import math
from operator import le

from adapter.model.batch import Buckets
from adapter.model.catalogue import CEILINGS, HISTOGRAMS
from sidecar import wire

# vLLM has 22, the widest known 40. Marks of them are kept per pod, see model/latency.py.
MAX_BOUNDS = 64
MAX_COUNT = 2.0**53  # beyond it one more observation changes nothing


def buckets(frame: wire.Frame, at: float, unusable: dict[str, str]) -> dict[str, Buckets]:
    """Return the usable histograms of an engine that answered; note what is wrong with others."""
    engine, age = frame.engine, frame.age_seconds.engine if frame.age_seconds else None
    if engine is None or not engine.hist or engine.state is not wire.EngineState.READY:
        return {}
    found = {}
    for series in HISTOGRAMS:
        sent = engine.hist.get(series)
        if sent is None:
            continue
        if age is None or not age >= 0:
            unusable[series] = "its source does not say how old this is"
        elif fault := _fault(series, sent):
            unusable[series] = fault
        else:
            found[series] = Buckets(at - age, sent.bounds, sent.counts)
    return found


def _fault(series: str, sent: wire.Histogram) -> str | None:
    bounds, counts = sent.bounds, sent.counts
    if not 0 < len(bounds) <= MAX_BOUNDS or len(counts) != len(bounds) + 1:
        return f"its histogram has {len(bounds)} bounds and {len(counts)} counts"
    if not _ascend(bounds, CEILINGS[series]):
        return "the bounds of its histogram do not ascend from above 0"
    # No number that is none rises: each is compared, and NaN with nothing is.
    rising = counts[0] >= 0 and counts[-1] <= MAX_COUNT and all(map(le, counts, counts[1:]))
    return None if rising else "the counts of its histogram do not add up"


@functools.lru_cache(maxsize=64)
def _ascend(bounds: tuple[float, ...], ceiling: float) -> bool:
    ascending = all(a < b for a, b in itertools.pairwise(bounds))
    return ascending and bounds[0] > 0 and bounds[-1] <= ceiling and math.isfinite(bounds[-1])
