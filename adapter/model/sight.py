"""The sight: what is known of a group of pods at one tick, and how that becomes one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapter.model.catalogue import Agg
from adapter.model.rows import Integers

Floats = NDArray[np.float64]


class Levels(NamedTuple):
    """One view of one series, in the order of the fleet or a group; NaN where there is no value.

    `at` is monotonic seconds, `known` says which values may be served. `idle` are the pods that are
    heard and had nothing to measure: no value is expected of them. `seconds` of the view's window
    are known.
    """

    values: Floats
    at: Floats
    known: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    idle: NDArray[np.bool_]
    seconds: Floats

    def of(self, places: Integers) -> Levels:
        """Return those at these places, in their order."""
        return Levels(
            self.values[places],
            self.at[places],
            self.known[places],
            self.fresh[places],
            self.idle[places],
            self.seconds[places],
        )


class Sight(NamedTuple):
    """What is known of a group: of which of its pods (numbers within it), and how many should be.

    `serving` marks the pods that could have a value, `idle` those that had nothing to measure.
    """

    seen: Integers
    values: Floats
    at: Floats
    fresh: NDArray[np.bool_]
    expected: int
    serving: NDArray[np.bool_]
    idle: NDArray[np.bool_]
    seconds: Floats

    def complete(self) -> bool:
        """Return whether every expected pod is fresh, and there is one."""
        return 0 < self.expected == np.count_nonzero(self.fresh)


_AGGREGATES: Mapping[Agg, Callable[[Floats], float]] = {
    Agg.SUM: lambda values: float(values.sum()),
    Agg.MEAN: lambda values: float(values.mean()),
    Agg.MAX: lambda values: float(values.max()),
}


def one_value(sight: Sight, agg: Agg, last_complete: float | None) -> float:
    """Return what an object is told to be; see Snapshot.total."""
    aggregate = _AGGREGATES[agg]
    known = aggregate(sight.values)
    if sight.complete():
        return known
    witnesses = sight.values[sight.fresh] if sight.fresh.any() else sight.values
    scale = sight.expected / len(witnesses) if agg is Agg.SUM else 1.0
    return max(aggregate(witnesses) * scale, known, last_complete or 0.0)


def together(value: float, sight: Sight) -> tuple[Floats, Floats, Floats]:
    """Return a workload's value, as old as its oldest reading, over its longest window."""
    return np.array([value]), sight.at.min(keepdims=True), sight.seconds.max(keepdims=True)
