"""The kept: what was learnt of cold starts and of demands, and totals, to and from a shard's text.

Both are learnt on while they are copied and taken in: in steps, so that others have their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from adapter.model import checkpoint, lasting, remembered
from adapter.model.coldstart import ColdStarts
from adapter.model.foresight import Foresight
from adapter.model.sighting import Key, Start
from adapter.model.snapshot import TotalKey

# 4,096 keys of 50 starts are 0.1 to 0.4 s on the event loop; so many are less than 9 ms.
KEYS_A_STEP = 100


class Kept(Protocol):
    """One kind of what was learnt; `name` is that of its texts."""

    name: str
    empty: str  # the text of a shard that holds nothing
    of_each: bool  # each replica adds its own, instead of one that writes for all

    async def texts(self, now: float) -> tuple[str, ...]:
        """Return the text of every shard."""

    async def take(self, text: str, now: float) -> int:
        """Take in a shard and return how much it held; raise BadCheckpoint."""


class Starts:
    """What was learnt of cold starts."""

    name = "starts"
    empty = checkpoint.EMPTY
    of_each = False

    def __init__(self, learnt: ColdStarts) -> None:
        self._learnt = learnt

    async def texts(self, now: float) -> tuple[str, ...]:
        found: dict[Key, tuple[Start, ...]] = {}
        for keys in _steps(self._learnt.keys()):
            found |= self._learnt.learnt(keys)
            await asyncio.sleep(0)
        return await asyncio.to_thread(checkpoint.encode, found, now)

    async def take(self, text: str, now: float) -> int:
        found = await asyncio.to_thread(checkpoint.decode, text, now)
        for keys in _steps(list(found)):
            self._learnt.restore({key: found[key] for key in keys})
            await asyncio.sleep(0)
        return len(found)


class Demands:
    """What was learnt of demands: 2 ms a demand to remember, 15 ms of a thread to recall."""

    name = "demands"
    empty = remembered.EMPTY
    of_each = False

    def __init__(self, foresight: Foresight) -> None:
        self._foresight = foresight

    async def texts(self, now: float) -> tuple[str, ...]:  # noqa: ARG002 - none is too old
        found: dict[TotalKey, bytes] = {}
        for key, forecaster in self._foresight.forecasters():
            packed = remembered.remember(forecaster)
            if packed is not None:
                found[key] = packed
            await asyncio.sleep(0)
        return await asyncio.to_thread(remembered.encode, found)

    async def take(self, text: str, now: float) -> int:
        found = await asyncio.to_thread(remembered.decode, text)
        for key, packed in found.items():
            forecaster = await asyncio.to_thread(remembered.recall, packed, now)
            if forecaster is not None:
                self._foresight.recall(key, forecaster)
        return len(found)


class Totals:
    """The complete totals that are in use: they outlive a restart beside a silent pod.

    An HPA may ask one replica alone for hours, and not the one that writes for all.
    """

    name = "totals"
    empty = lasting.EMPTY
    of_each = True

    def __init__(
        self,
        complete: Callable[[], Mapping[TotalKey, float]],
        recall: Callable[[Mapping[TotalKey, float]], None],
    ) -> None:
        self._complete = complete
        self._recall = recall
        self._there: dict[TotalKey, lasting.Kept] = {}  # all that was read and still counts

    async def texts(self, now: float) -> tuple[str, ...]:
        totals = lasting.fresh(self._there, now) | lasting.stamped(self._complete(), now)
        return await asyncio.to_thread(lasting.encode, totals)

    async def take(self, text: str, now: float) -> int:
        found = await asyncio.to_thread(lasting.decode, text, now)
        # Those of the other shards stay: a tick between two of them must forget none.
        self._there = lasting.fresh(self._there | found, now)
        self._recall({key: kept.value for key, kept in self._there.items()})
        return len(found)


def _steps(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for first in range(0, len(keys), KEYS_A_STEP):
        yield keys[first : first + KEYS_A_STEP]
