"""The decision: fleet, window and sources become one Snapshot. Pure: `now` and `wall` are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from adapter.model.complete import complete_totals
from adapter.model.debut import Debut, Debuting
from adapter.model.fleet import Fleet, Standing
from adapter.model.freshness import grade
from adapter.model.latency import FrozenTrails
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.source import Source
from adapter.model.window import FrozenWindow


def decide(
    fleet: Fleet,
    standings: Mapping[str, Standing],
    sources: Mapping[str, Source],
    window: FrozenWindow,
    trails: FrozenTrails,
    *,
    complete: Mapping[TotalKey, float],
    debuts: Mapping[str, Debut],
    asked: Iterable[TotalKey],
    now: float,
    wall: float,
) -> Snapshot:
    """Return the Snapshot of this tick.

    `complete` is that of the Snapshot before; for each total in `asked` it is brought up to date
    where every expected pod is fresh, and kept where one is not. Others are dropped.
    """
    served = Standing.SERVING
    serving = [standings[uid] is served for uid in fleet.pods]
    seen = Snapshot(
        at=now,
        wall=wall,
        fleet=fleet,
        standings=standings,
        sources=sources,
        window=window,
        trails=trails,
        grades=grade(now - window.last_at, window.period_seconds, window.hold_seconds),
        serving=np.array(serving, np.bool_),
        debuting=Debuting.at(now, fleet, debuts),
        complete=complete,
    )
    asked = tuple(asked)
    kept = {key: complete[key] for key in asked if key in complete}
    return dataclasses.replace(seen, complete=kept | complete_totals(seen, asked))
