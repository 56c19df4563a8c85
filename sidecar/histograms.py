"""The histogram merge: the buckets of several series of one page as one histogram."""

from __future__ import annotations

import itertools
import math

from prometheus_client.samples import Sample

from sidecar.wire import Histogram

MAX_BUCKETS = 128


def merge(
    buckets: list[Sample], total: float | None, ticks_per_second: float = 1.0
) -> Histogram | None:
    """Return the sum over all series in seconds; None where their bounds differ or counts fall.

    Cumulative buckets may be added only bound by bound: a series that lacks one would make the
    sum fall there.
    """
    by_bound: dict[float, list[float]] = {}
    for sample in buckets:
        bound = _bound(sample.labels.get("le", ""))
        if bound is None:
            return None
        by_bound.setdefault(bound, []).append(sample.value)
    bounds = sorted(by_bound)
    series = {len(values) for values in by_bound.values()}
    if len(series) != 1 or bounds[-1] != math.inf or len(bounds) > MAX_BUCKETS:
        return None
    counts = tuple(sum(by_bound[bound]) for bound in bounds)
    if any(later < earlier for earlier, later in itertools.pairwise(counts)):
        return None
    seconds = tuple(bound / ticks_per_second for bound in bounds[:-1])
    return Histogram(seconds, counts, None if total is None else total / ticks_per_second)


def _bound(text: str) -> float | None:
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if math.isnan(bound) else bound
