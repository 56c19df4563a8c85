"""The complete totals: the values of all objects in use of which every expected pod is fresh.

A cluster may have thousands, and all are worked out at every tick: those of one view together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from adapter.model.catalogue import METRICS, Agg, View
from adapter.model.rows import Integers
from adapter.model.sight import Levels
from adapter.model.snapshot import Snapshot, TotalKey


def complete_totals(seen: Snapshot, keys: Iterable[TotalKey]) -> dict[TotalKey, float]:
    """Return the value of each key's object; those with a pod that is not fresh are left out."""
    alike: dict[tuple[View, str], list[tuple[TotalKey, Integers]]] = {}
    for key in keys:
        metric = METRICS[key.metric]
        places = seen.saying(seen.owned(metric, key), key.dims).places
        if len(places):
            alike.setdefault((key.view, metric.series), []).append((key, places))
    found: dict[TotalKey, float] = {}
    for (view, series), group in alike.items():
        places = np.concatenate([owned for _, owned in group])
        found |= _of_one_view(seen, series, seen.levels(view, series, places), places, group)
    return found


def _of_one_view(
    seen: Snapshot,
    series: str,
    levels: Levels,
    places: Integers,
    group: Sequence[tuple[TotalKey, Integers]],
) -> dict[TotalKey, float]:
    keys, owned = [key for key, _ in group], [places for _, places in group]
    # Where each object's pods begin; none is without pods, which reduceat would not bear.
    starts = np.cumsum([0, *map(len, owned[:-1])])
    serving = seen.serving[places]
    fresh = serving & levels.fresh
    expected = serving & (levels.known | ~seen.debuting.of(series)[places])
    counts = np.add.reduceat(fresh.astype(np.int64), starts)
    whole = (counts == np.add.reduceat(expected.astype(np.int64), starts)) & (counts > 0)
    values = np.where(fresh, levels.values, 0.0)
    sums = np.add.reduceat(values, starts)
    by_agg = {
        Agg.SUM: sums.tolist(),
        Agg.MEAN: (sums / np.maximum(counts, 1)).tolist(),
        Agg.MAX: np.maximum.reduceat(values, starts).tolist(),
    }
    return {keys[number]: by_agg[keys[number].agg][number] for number in whole.nonzero()[0]}
