"""Reviews: questions to the API server about tokens and rights, cached, each asked once at a time.

While the API server gives no answer, the last one counts for `STALE_SECONDS` more: whoever was
allowed a moment ago is served on, and whoever was refused stays refused. Who was never asked about
gets 503. A right that was taken away is therefore lost after 10 s, after 70 s at the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from adapter.errors import KubeError, Unavailable
from adapter.telemetry import Once, event, warn

FRESH_SECONDS = 10.0  # as upstream API servers do, for yes and for no
STALE_SECONDS = 60.0  # four syncs of an HPA
# An answer to the HPA is due within a second, so nobody waits for the whole deadline of a review.
PATIENCE_SECONDS = 0.8
STALE_PATIENCE_SECONDS = 0.25  # where the last answer can stand in
DEADLINE_SECONDS = 5.0
MAX_ENTRIES = 10_000

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Budget:
    """A token bucket: `per_second` on average, twice that at once."""

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._left = 2 * per_second
        self._at = now

    def take(self, now: float) -> bool:
        """Return whether one more may be spent now."""
        self._left = min(2 * self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Reviews(Generic[_Key, _Value]):
    """The answers of one kind of review. `what` names it in errors."""

    def __init__(
        self,
        what: str,
        ask: Callable[[_Key], Awaitable[_Value]],
        *,
        now: Callable[[], float],
        per_second: float,
    ) -> None:
        self._what = what
        self._ask = ask
        self._now = now
        self._budget = Budget(per_second, now())
        self._cache: dict[_Key, tuple[float, _Value]] = {}
        self._flights: dict[_Key, asyncio.Task[_Value]] = {}
        self._once = Once(warn)

    async def get(self, key: _Key) -> _Value:
        """Return the answer; raise Unavailable within a second when there is none."""
        known = self._cache.get(key)
        age = self._now() - known[0] if known else float("inf")
        if known and age < FRESH_SECONDS:
            return known[1]
        usable = known is not None and age < FRESH_SECONDS + STALE_SECONDS
        patience = STALE_PATIENCE_SECONDS if usable else PATIENCE_SECONDS
        try:
            return await asyncio.wait_for(asyncio.shield(self._flight(key)), patience)
        except (KubeError, TimeoutError) as error:
            if known and usable:
                return known[1]
            words = str(error) or "no answer in time"
            raise Unavailable(f"cannot decide who may ask: {self._what} failed: {words}") from error

    async def close(self) -> None:
        """Give up what is still being asked."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _flight(self, key: _Key) -> asyncio.Future[_Value]:
        """Return the question that is under way for this key, or ask it now."""
        flight = self._flights.get(key)
        if flight is not None:
            return flight
        if not self._budget.take(self._now()):
            raise KubeError(0, "TooMany", "too many new callers at once")
        flight = asyncio.get_running_loop().create_task(self._fly(key))
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    async def _fly(self, key: _Key) -> _Value:
        value = await self._ask(key)
        self._cache.pop(key, None)  # so that the order of the cache is that of the answers
        if len(self._cache) >= MAX_ENTRIES:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = (self._now(), value)
        return value

    def _landed(self, key: _Key, flight: asyncio.Task[_Value]) -> None:
        del self._flights[key]
        if flight.cancelled():
            return
        error = flight.exception()
        if error is not None:
            self._once("review_failed", self._what, str(error), review=self._what)
        elif self._once.clear(self._what):
            event("review_recovered", review=self._what)
