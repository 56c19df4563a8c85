"""The remembered: what was learnt of demands as text in shards, beside that of the cold starts.

A demand is some 17 KB, 23 in the text; a Forecaster has 0.45 MiB. What is on its way is predicted
anew from two hours of demand but for what margins and weights made of it then, a day's profile
follows from its slots, and of the residuals of a day their tails will do.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from adapter.errors import BadCheckpoint
from adapter.model.catalogue import METRICS
from adapter.model.checkpoint import SHARDS, opened, sealed, shard_of_workload
from adapter.model.forecast import Forecaster
from adapter.model.memo import Reading, Writing
from adapter.model.snapshot import TotalKey

VERSION = "2"  # raised with any change of what a Forecaster hands over, or of its layout
# Beside 512 KiB of cold starts, in an object that may have 1 MiB.
MAX_SHARD_BYTES = 448 * 1024
MAX_DEMAND_BYTES = 32 * 1024
# Until a clock that is ahead of ours is reached, no reading counts: no longer than a horizon.
CLOCK_SECONDS = 60.0
KEPT_SECONDS = 7 * 86_400.0  # as long as the days that a season is learnt from
_MARK = "forescale-demands"


class _Row(msgspec.Struct, frozen=True, array_like=True):
    namespace: str
    kind: str
    name: str
    metric: str
    packed: bytes


def remember(forecaster: Forecaster) -> bytes | None:
    """Return what is to be kept; None of a demand of which too little is known to forecast it."""
    if not forecaster.is_warm:
        return None
    memo = Writing()
    forecaster.memorise(memo)
    return memo.packed()


def recall(packed: bytes, now: float) -> Forecaster | None:
    """Return the Forecaster as it was; None where that is of too long ago, or of a time to come.

    `now` is in Unix seconds. Raises BadCheckpoint saying what is wrong.
    """
    if len(packed) > MAX_DEMAND_BYTES:
        raise BadCheckpoint("a demand has more bytes than any can have")
    found, memo = Forecaster(), Reading(packed)
    found.memorise(memo)
    memo.end()
    if not -CLOCK_SECONDS <= now - found.at <= KEPT_SECONDS:
        return None
    found.replay()
    return found


def encode(demands: Mapping[TotalKey, bytes]) -> tuple[str, ...]:
    """Return the text of every shard; what goes beyond MAX_SHARD_BYTES is left out."""
    shards: list[list[str]] = [[] for _ in range(SHARDS)]
    sizes = [0] * SHARDS
    for key in sorted(demands, key=lambda key: (key.namespace, key.kind, key.name, key.metric)):
        row = _Row(key.namespace, key.kind, key.name, key.metric, demands[key])
        part, number = msgspec.json.encode(row).decode(), shard_of_workload(key.namespace, key.name)
        if sizes[number] + len(part) + 1 <= MAX_SHARD_BYTES:
            sizes[number] += len(part) + 1
            shards[number].append(part)
    return tuple(_text(parts) for parts in shards)


def decode(text: str) -> dict[TotalKey, bytes]:
    """Return what a shard holds; raise BadCheckpoint saying what is wrong with it."""
    body = opened(text, _MARK, VERSION, "demands")
    try:
        rows = msgspec.json.decode(body, type=tuple[_Row, ...])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadCheckpoint(f"it cannot be read: {error}") from error
    return {
        TotalKey(
            row.namespace, row.kind, row.name, row.metric, METRICS[row.metric].view
        ): row.packed
        for row in rows
        if row.metric in METRICS
    }


def _text(parts: list[str]) -> str:
    return sealed(f"[{','.join(parts)}]", _MARK, VERSION)


EMPTY = _text([])
