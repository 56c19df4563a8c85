"""The lasting: complete totals as text in shards, so that a restart lets no silent pod lower one.

A replica that has just started has no complete total while a pod is silent, and would take those
that speak for all: 0 where the silent one has the load. What another life of it, or another
replica, found complete within the last half hour counts until it finds one of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from adapter.errors import BadCheckpoint
from adapter.model.catalogue import METRICS
from adapter.model.checkpoint import SHARDS, opened, sealed, shard_of_workload
from adapter.model.snapshot import TotalKey

VERSION = "1"
# Beside cold starts and demands in an object that may have 1 MiB; some 300 totals.
MAX_SHARD_BYTES = 48 * 1024
# Twice what a replica takes to start where each pod is tried, and six writes that failed.
KEPT_SECONDS = 1_800.0
# A time in whole steps of this: an idle cluster's totals are written no more often.
STEP_SECONDS = 600.0
# Until a clock that is ahead of ours is reached, as of the demands.
CLOCK_SECONDS = 60.0
_MARK = "forescale-totals"


class _Row(msgspec.Struct, frozen=True, array_like=True):
    key: TotalKey
    value: float


class _Shard(msgspec.Struct, frozen=True, array_like=True):
    at: float  # Unix seconds, rounded down
    rows: tuple[_Row, ...]


def encode(totals: Mapping[TotalKey, float], now: float) -> tuple[str, ...]:
    """Return the text of every shard at Unix seconds `now`.

    A total of 0 holds nothing up and is left out, as is what goes beyond MAX_SHARD_BYTES.
    """
    shards: list[list[str]] = [[] for _ in range(SHARDS)]
    sizes = [0] * SHARDS
    for key in sorted(totals, key=msgspec.json.encode):
        if not totals[key] > 0:
            continue
        number = shard_of_workload(key.namespace, key.name)
        part = msgspec.json.encode(_Row(key, totals[key])).decode()
        if sizes[number] + len(part) + 1 <= MAX_SHARD_BYTES:
            sizes[number] += len(part) + 1
            shards[number].append(part)
    return tuple(_text(parts, now) for parts in shards)


def decode(text: str, now: float) -> dict[TotalKey, float]:
    """Return what a shard holds, nothing where it is too old; raise BadCheckpoint saying why."""
    body = opened(text, _MARK, VERSION, "totals")
    try:
        shard = msgspec.json.decode(body, type=_Shard) if body else _Shard(0.0, ())
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadCheckpoint(f"it cannot be read: {error}") from error
    if not all(math.isfinite(row.value) and row.value >= 0 for row in shard.rows):
        raise BadCheckpoint("it holds a total that is no figure")
    if not -CLOCK_SECONDS <= now - shard.at <= KEPT_SECONDS + STEP_SECONDS:
        return {}
    return {row.key: row.value for row in shard.rows if row.key.metric in METRICS}


def _text(parts: list[str], now: float) -> str:
    if not parts:
        return sealed("", _MARK, VERSION)
    return sealed(
        f"[{STEP_SECONDS * (now // STEP_SECONDS):.0f},[{','.join(parts)}]]", _MARK, VERSION
    )


EMPTY = _text([], 0.0)
