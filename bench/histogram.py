"""The histogram: a Prometheus histogram of one series, read off a metrics page."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
from prometheus_client.parser import text_string_to_metric_families


class Histogram(msgspec.Struct, frozen=True):
    """Cumulative buckets in rising order of their bounds, the last of which is infinite."""

    buckets: tuple[tuple[float, float], ...]

    @property
    def count(self) -> float:
        return self.buckets[-1][1]

    def quantile(self, share: float) -> float:
        """Return the quantile as PromQL estimates it, linear within a bucket; NaN of nothing."""
        if not self.count:
            return math.nan
        rank = share * self.count
        for (low, before), (high, upto) in pairwise(((0.0, 0.0), *self.buckets)):
            if upto >= rank:
                if math.isinf(high):
                    return low
                return low + (high - low) * (rank - before) / (upto - before)
        return math.nan


def read(page: str, name: str, **labels: str) -> Histogram:
    """Return the series of this name with these labels; raise LookupError when it is not there."""
    found = [
        (float(sample.labels["le"]), sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == f"{name}_bucket" and labels.items() <= sample.labels.items()
    ]
    if not found:
        raise LookupError(f"{name} with {labels} is not on the page")
    return Histogram(tuple(sorted(found)))
