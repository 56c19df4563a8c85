"""The keeping of what was learnt: read once at the start, written rarely, by one replica for all.

Totals are of each: read and written by every replica in each period. A start waits two seconds at
most until those were read. Nothing else waits: while it cannot be read or written, the adapter
serves with what it has seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from adapter.errors import BadCheckpoint, IntakeError, KubeError
from adapter.intake.kept import Kept
from adapter.intake.shards import Shards
from adapter.model.checkpoint import SHARDS
from adapter.telemetry import Metrics, Once, event, log, warn

RETRY_SECONDS = 5.0
BEGIN_SECONDS = 2.0
LEAVE_SECONDS = 5.0  # of the 30 until a pod is killed; its queries drain for five before


class Checkpoint:
    """Owns the way of what was learnt to its shards and back."""

    def __init__(
        self,
        kept: Sequence[Kept],
        shards: Shards,
        period_seconds: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kept = kept
        self._shards = shards
        self._period_seconds = period_seconds
        self._results = metrics.cold_start_checkpoints
        self._clock = clock
        self._written: dict[tuple[str, int], str] = {}  # what lies there, as far as we know
        self._counts: dict[str, int] = {}  # of what each kind had at the start
        self._has_read = False
        self._has_begun = asyncio.Event()
        self._once = Once(warn)

    async def run(self) -> None:
        """Read, and then write what has changed, until cancelled."""
        wait = RETRY_SECONDS
        while not await self._done(self.restore):
            await asyncio.sleep(wait)
            wait = min(2 * wait, max(self._period_seconds, RETRY_SECONDS))
        while True:
            await asyncio.sleep(self._period_seconds)
            await self._done(self.save)

    async def begun(self) -> None:
        """Return once the first kind was taken in, after BEGIN_SECONDS in any case."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEGIN_SECONDS):
                await self._has_begun.wait()

    async def restore(self) -> None:
        """Take in every shard; a broken one is told, and its workloads are learnt anew.

        Nothing is written before all could be read: less would take the place of more. What was
        taken in before a read failed is not taken twice.
        """
        for kept in self._kept:
            if kept.name not in self._counts:
                await self._read(kept)
                self._counts[kept.name] = await self._taken(kept)
                self._has_begun.set()
        self._has_read = True
        self._results.labels("read").inc()
        event("cold_starts_read", **self._counts)

    async def save(self) -> None:
        """Write the shards that have changed, if it is this replica that writes.

        One that cannot be written is told, and tried again the next time. What each replica adds
        to is read anew before, and taken in.
        """
        may_write = await self._shards.may_write()
        for kept in self._kept:
            if kept.of_each:
                await self._read(kept)
                await self._taken(kept)
            elif not may_write:
                continue
            for number, text in enumerate(await kept.texts(self._clock())):
                if text != self._written.get((kept.name, number), kept.empty):
                    write = partial(self._write, number, kept.name, text)
                    await self._done(write, f"{kept.name} of shard {number}")

    async def leave(self) -> None:
        """Write a last time, and let another replica write at once; `run` has ended before.

        Ends within LEAVE_SECONDS: a stop does not wait for an API server.
        """
        if not self._has_read:
            return

        async def bounded() -> None:
            try:
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._done(self.save)
                    await self._shards.leave()
            except TimeoutError:
                raise IntakeError("there was no time to write a last time") from None

        await self._done(bounded)

    async def _read(self, kept: Kept) -> None:
        for number in range(SHARDS):
            text = await self._shards.read(number, kept.name)
            if text is not None:
                self._written[kept.name, number] = text

    async def _taken(self, kept: Kept) -> int:
        """Take in what was read of one kind, and return how much that was."""
        count = 0
        for number in range(SHARDS):
            text = self._written.get((kept.name, number))
            try:
                count += await kept.take(text, self._clock()) if text is not None else 0
            except BadCheckpoint as error:
                self._results.labels("broken").inc()
                why = f"{error}; its workloads are learnt anew"
                warn("cold_starts_broken", what=kept.name, shard=number, why=why)
        return count

    async def _write(self, number: int, what: str, text: str) -> None:
        await self._shards.write(number, what, text)
        self._written[what, number] = text
        self._results.labels("written").inc()

    async def _done(self, work: Callable[[], Awaitable[None]], what: str = "checkpoint") -> bool:
        try:
            await work()
        except (KubeError, IntakeError) as error:
            self._results.labels("failed").inc()
            self._once("cold_starts_not_kept", what, str(error), what=what)
            return False
        # A task boundary: what was learnt before is not worth an adapter.
        except Exception:  # noqa: BLE001
            self._results.labels("failed").inc()
            log.exception("cold_starts_failed")
            return False
        if self._once.clear(what):
            event("cold_starts_kept_again", what=what)
        return True
