"""The lasting: complete totals as text in shards, so that a restart lets no silent pod lower one.

A replica that never heard a silent pod has no complete total, and would take those that speak for
all: 0 where the silent one has the load. What another life of it, or another replica, found
complete in the last forty minutes counts until it finds one of its own. All replicas know of a
total that one of them is asked for after a period of keeping.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from adapter.errors import BadCheckpoint
from adapter.model.catalogue import METRICS, Agg, Over, Stat, View
from adapter.model.checkpoint import SHARDS, opened, sealed, shard_of_workload
from adapter.model.snapshot import TotalKey
from adapter.model.source import Dims

VERSION = "1"
# Beside cold starts and demands in an object that may have 1 MiB; some 400 totals.
MAX_SHARD_BYTES = 48 * 1024
# Eight periods of writing: more than a replica takes to start, and writes that fail meanwhile.
KEPT_SECONDS = 2_400.0
# A time in whole steps of this: an idle cluster's totals are written no more often.
STEP_SECONDS = 600.0
# Until a clock that is ahead of ours is reached, as of the demands.
CLOCK_SECONDS = 60.0
_MARK = "forescale-totals"


class Kept(NamedTuple):
    """A complete total and when it was one, in Unix seconds, rounded down."""

    value: float
    at: float


class _Row(msgspec.Struct, frozen=True, array_like=True):
    at: float
    value: float
    place: tuple[str, str, str, str]  # namespace, kind, name, metric
    look: tuple[Stat, int, Over]
    dims: Dims
    agg: Agg

    def key(self) -> TotalKey:
        return TotalKey(*self.place, View(*self.look), self.dims, self.agg)


def stamped(totals: Mapping[TotalKey, float], now: float) -> dict[TotalKey, Kept]:
    """Return totals that are complete at Unix seconds `now`; one of 0 holds nothing up."""
    at = STEP_SECONDS * (now // STEP_SECONDS)
    return {key: Kept(value, at) for key, value in totals.items() if value > 0}


def encode(totals: Mapping[TotalKey, Kept]) -> tuple[str, ...]:
    """Return the text of every shard, the same for what is the same.

    Beyond MAX_SHARD_BYTES those are left out that the namespaces with most have more than others.
    """
    shards: list[list[_Row]] = [[] for _ in range(SHARDS)]
    for key, kept in totals.items():
        view, place = key.view, (key.namespace, key.kind, key.name, key.metric)
        look = (view.stat, view.window_seconds, view.over)
        row = _Row(kept.at, kept.value, place, look, key.dims, key.agg)
        shards[shard_of_workload(key.namespace, key.name)].append(row)
    return tuple(_text(rows) for rows in shards)


def decode(text: str, now: float) -> dict[TotalKey, Kept]:
    """Return what a shard holds that is not too old; raise BadCheckpoint saying what is wrong."""
    body = opened(text, _MARK, VERSION, "totals")
    try:
        rows = msgspec.json.decode(body, type=tuple[_Row, ...])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadCheckpoint(f"it cannot be read: {error}") from error
    if not all(math.isfinite(row.value) and row.value >= 0 for row in rows):
        raise BadCheckpoint("it holds a total that is no figure")
    known = {row.key(): Kept(row.value, row.at) for row in rows if row.place[3] in METRICS}
    return fresh(known, now)


def fresh(totals: Mapping[TotalKey, Kept], now: float) -> dict[TotalKey, Kept]:
    """Return those that still count at Unix seconds `now`."""
    return {
        key: kept for key, kept in totals.items() if -CLOCK_SECONDS <= now - kept.at <= KEPT_SECONDS
    }


def _text(rows: Iterable[_Row]) -> str:
    parts, size = [], 0
    for part in _in_turn(rows):
        if size + len(part) + 1 <= MAX_SHARD_BYTES:
            size += len(part) + 1
            parts.append(part.decode())
    return sealed(f"[{','.join(sorted(parts))}]", _MARK, VERSION)


def _in_turn(rows: Iterable[_Row]) -> list[bytes]:
    """Return one of each namespace first, then a second of each, and so on."""
    ranks: Counter[str] = Counter()
    ranked = []
    for row in sorted(rows, key=msgspec.json.encode):
        namespace = row.place[0]
        ranks[namespace] += 1
        ranked.append((ranks[namespace], msgspec.json.encode(row)))
    return [part for _, part in sorted(ranked)]


EMPTY = _text(())
