"""The decision: fleet, window and sources become one Snapshot. Pure: `now` and `wall` are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adapter.model.catalogue import METRICS
from adapter.model.fleet import Fleet, Standing
from adapter.model.freshness import grade
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.source import Source
from adapter.model.window import FrozenWindow


def decide(
    fleet: Fleet,
    standings: Mapping[str, Standing],
    sources: Mapping[str, Source],
    window: FrozenWindow,
    *,
    complete: Mapping[TotalKey, float],
    asked: Iterable[TotalKey],
    hold_seconds: float,
    now: float,
    wall: float,
) -> Snapshot:
    """Return the Snapshot of this tick.

    `complete` is that of the Snapshot before; for each total in `asked` it is brought up to date
    where every expected pod is fresh, and kept where one is not. Others are dropped.
    """
    seen = Snapshot(
        at=now,
        wall=wall,
        fleet=fleet,
        standings=standings,
        sources=sources,
        window=window,
        grades=grade(now - window.last_at, window.period_seconds, hold_seconds),
        complete=complete,
    )
    kept = {key: _last_complete(seen, key, complete) for key in asked}
    return Snapshot(
        at=seen.at,
        wall=seen.wall,
        fleet=seen.fleet,
        standings=seen.standings,
        sources=seen.sources,
        window=seen.window,
        grades=seen.grades,
        complete={key: total for key, total in kept.items() if total is not None},
        _levels=seen._levels,  # noqa: SLF001 - the same tick, the same arrays
    )


def _last_complete(
    seen: Snapshot, key: TotalKey, complete: Mapping[TotalKey, float]
) -> float | None:
    total = seen.complete_total(METRICS[key.metric], key)
    return complete.get(key) if total is None else total
