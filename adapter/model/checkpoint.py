"""The checkpoint: what was learnt of cold starts as text in shards, each with version and checksum.

A shard is one line `forescale-cold-starts VERSION SHA256` and one of JSON; a workload is always in
the same shard, so what did not change is not written.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import msgspec

from adapter.errors import BadCheckpoint
from adapter.model.coldstart import KEPT_SECONDS, KEPT_STARTS
from adapter.model.sighting import CAP_SECONDS, Key, Start

SHARDS = 8
VERSION = "1"
# An object of the API server holds 1 MiB, and all of them are in one etcd.
MAX_SHARD_BYTES = 512 * 1024
# What was learnt later than now comes from another clock; more than that is no clock's error.
CLOCK_SECONDS = 3_600.0
_MARK = "forescale-cold-starts"

Learnt = Mapping[Key, Sequence[Start]]


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """One start; seconds in tenths, which is finer than a pod's status tells."""

    seconds: float
    ended: bool
    at: float
    uid: str
    new_node: bool
    node: float | None
    pull: float | None
    load: float | None
    room: float | None = None

    @classmethod
    def of(cls, start: Start) -> Self:
        return cls(
            round(start.seconds, 1),
            start.ended,
            round(start.at, 1),
            start.uid,
            start.new_node,
            _tenths(start.node_seconds),
            _tenths(start.pull_seconds),
            _tenths(start.load_seconds),
            _tenths(start.room_seconds),
        )

    def start(self) -> Start:
        return Start(
            self.seconds,
            self.ended,
            self.at,
            self.uid,
            self.new_node,
            self.node,
            self.pull,
            self.load,
            self.room,
        )

    def is_sane(self, now: float) -> bool:
        phases = [phase for phase in (self.node, self.pull, self.load) if phase is not None]
        return (
            all(math.isfinite(t) and 0 <= t <= CAP_SECONDS for t in (self.seconds, *phases))
            and math.isfinite(self.at)
            and self.at <= now + CLOCK_SECONDS
            and 0 <= (self.room or 0.0) < math.inf
        )


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    namespace: str
    owner: str
    template: str
    rows: tuple[_Row, ...]


def encode(learnt: Learnt, now: float) -> tuple[str, ...]:
    """Return the text of every shard, the same for what is the same.

    What is too old to count is left out; beyond MAX_SHARD_BYTES those workloads go that have not
    started for the longest, of the namespaces that have the most.
    """
    shards: list[list[tuple[Key, Sequence[Start]]]] = [[] for _ in range(SHARDS)]
    for key, starts in learnt.items():
        fresh = [start for start in starts if now - start.at <= KEPT_SECONDS]
        if fresh:
            shards[shard_of(key)].append((key, fresh))
    return tuple(_text(shard) for shard in shards)


def decode(text: str, now: float) -> dict[Key, tuple[Start, ...]]:
    """Return what a shard holds; raise BadCheckpoint saying what is wrong with it."""
    body = opened(text, _MARK, VERSION, "cold starts")
    try:
        found = msgspec.json.decode(body, type=tuple[_Kept, ...])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadCheckpoint(f"it cannot be read: {error}") from error
    if not all(row.is_sane(now) for kept in found for row in kept.rows):
        raise BadCheckpoint("it holds a time that is no start's")
    return {
        Key(kept.namespace, kept.owner, kept.template): tuple(
            row.start() for row in kept.rows[-KEPT_STARTS:]
        )
        for kept in found
    }


def shard_of(key: Key) -> int:
    """Return the shard of a workload, whatever its template."""
    return shard_of_workload(key.namespace, key.owner)


def shard_of_workload(namespace: str, name: str) -> int:
    return zlib.crc32(f"{namespace}/{name}".encode()) % SHARDS


def sealed(body: str, mark: str, version: str) -> str:
    """Return a shard's text: the body below a line of mark, version and checksum."""
    return f"{mark} {version} {_digest(body)}\n{body}"


def opened(text: str, mark: str, version: str, what: str) -> str:
    """Return the body of a shard's text; raise BadCheckpoint where it is another, or changed."""
    head, _, body = text.partition("\n")
    said, _, rest = head.partition(" ")
    of_version, _, digest = rest.partition(" ")
    if said != mark:
        raise BadCheckpoint(f"it is no checkpoint of {what}")
    if of_version != version:
        raise BadCheckpoint(f"its version is `{of_version[:20]}`, this release reads {version}")
    if digest != _digest(body):
        raise BadCheckpoint("its checksum is another: it was changed, or cut off")
    return body


def _text(shard: Iterable[tuple[Key, Sequence[Start]]]) -> str:
    parts, size = {}, 0
    for key, starts in _in_turn(shard):
        rows = tuple(map(_Row.of, starts))
        part = msgspec.json.encode(_Kept(key.namespace, key.owner, key.template, rows))
        if size + len(part) + 1 > MAX_SHARD_BYTES:
            continue
        size += len(part) + 1
        parts[msgspec.structs.astuple(key)] = part.decode()
    body = f"[{','.join(parts[key] for key in sorted(parts))}]"
    return sealed(body, _MARK, VERSION)


def _in_turn(shard: Iterable[tuple[Key, Sequence[Start]]]) -> list[tuple[Key, Sequence[Start]]]:
    """Return the newest of each namespace first, then the second of each, and so on."""
    ranks: Counter[str] = Counter()
    ranked = []
    for one in sorted(shard, key=lambda one: one[1][-1].at, reverse=True):
        ranks[one[0].namespace] += 1
        ranked.append((ranks[one[0].namespace], one))
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode(errors="surrogatepass")).hexdigest()


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


EMPTY = _text(())
