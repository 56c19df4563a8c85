"""The keeping of cold starts: read once at the start, written rarely, by one replica for all.

Nothing waits for it: while it cannot be read or written, the adapter serves with what it has seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial

from adapter.errors import BadCheckpoint, IntakeError, KubeError
from adapter.intake.shards import Shards
from adapter.model import checkpoint
from adapter.model.coldstart import ColdStarts
from adapter.model.sighting import Key, Start
from adapter.telemetry import Metrics, Once, event, log, warn

RETRY_SECONDS = 5.0
# 4,096 keys of 50 starts are 0.1 to 0.4 s on the event loop; so many are less than 9 ms.
KEYS_A_STEP = 100
LEAVE_SECONDS = 5.0  # of the 30 until a pod is killed; its queries drain for five before


class Checkpoint:
    """Owns the way of what was learnt to its shards and back."""

    def __init__(
        self,
        learnt: ColdStarts,
        shards: Shards,
        period_seconds: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._learnt = learnt
        self._shards = shards
        self._period_seconds = period_seconds
        self._results = metrics.cold_start_checkpoints
        self._clock = clock
        self._written: dict[int, str] = {}  # what lies there, as far as we know
        self._has_read = False
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

    async def restore(self) -> None:
        """Take in every shard; a broken one is told, and its workloads are learnt anew.

        Nothing is written before all could be read: less would take the place of more.
        """
        texts = {number: await self._shards.read(number) for number in range(checkpoint.SHARDS)}
        found: dict[Key, tuple[Start, ...]] = {}
        for number, text in texts.items():
            if text is not None:
                self._written[number] = text
                found |= await asyncio.to_thread(self._decoded, number, text)
        for keys in _steps(list(found)):
            self._learnt.restore({key: found[key] for key in keys})
            await asyncio.sleep(0)
        self._has_read = True
        self._results.labels("read").inc()
        event("cold_starts_read", workloads=len(found))

    async def save(self) -> None:
        """Write the shards that have changed, if it is this replica that writes.

        One that cannot be written is told, and tried again the next time.
        """
        if not await self._shards.may_write():
            return
        for number, text in enumerate(await asyncio.to_thread(self._encoded, await self._copied())):
            if text != self._written.get(number, checkpoint.EMPTY):
                await self._done(partial(self._write, number, text), f"shard {number}")

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

    async def _write(self, number: int, text: str) -> None:
        await self._shards.write(number, text)
        self._written[number] = text
        self._results.labels("written").inc()

    async def _copied(self) -> dict[Key, tuple[Start, ...]]:
        """Return all that was learnt, as it is; it is learnt on while others have their turn."""
        found: dict[Key, tuple[Start, ...]] = {}
        for keys in _steps(self._learnt.keys()):
            found |= self._learnt.learnt(keys)
            await asyncio.sleep(0)
        return found

    def _decoded(self, number: int, text: str) -> dict[Key, tuple[Start, ...]]:
        try:
            return checkpoint.decode(text, self._clock())
        except BadCheckpoint as error:
            self._results.labels("broken").inc()
            warn("cold_starts_broken", shard=number, why=f"{error}; its workloads are learnt anew")
            return {}

    def _encoded(self, learnt: Mapping[Key, Sequence[Start]]) -> tuple[str, ...]:
        return checkpoint.encode(learnt, self._clock())

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


def _steps(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for first in range(0, len(keys), KEYS_A_STEP):
        yield keys[first : first + KEYS_A_STEP]
