"""Reviews: questions to the API server about tokens and rights, cached, each asked once at a time.

An answer holds for `FRESH_SECONDS`, yes and no alike. After that it is asked anew, and whoever
comes waits for it a moment: a review takes some milliseconds. Where none comes in that moment, the
old answer is given for `STALE_SECONDS` more, so that no slow or dead API server stops an HPA. Who
was never asked about gets 503 where nothing comes.

A right that was taken away (or given) therefore holds up to 10 s, and longer only while the API
server does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from adapter.errors import KubeError, Unavailable
from adapter.telemetry import Once, event, warn

FRESH_SECONDS = 10.0  # as upstream API servers do, for yes and for no
STALE_SECONDS = 60.0  # four syncs of an HPA
ANEW_SECONDS = 0.2  # what an HPA is made to wait for an answer that is only newer
# An answer to the HPA is due within a second, so nobody waits for the whole deadline of a review.
PATIENCE_SECONDS = 0.8
DEADLINE_SECONDS = 5.0
MAX_ENTRIES = 10_000
MAX_PAYERS = 1_000

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


def _nobody(_: Hashable) -> Hashable:
    return None


class Reviews(Generic[_Key, _Value]):
    """The answers of one kind of review. `what` names it in errors.

    `payer` says on whose account a question goes: each has `per_second` of its own, so that whoever
    asks for too much is the only one who gets no answer. Without it all share one account.
    """

    def __init__(
        self,
        what: str,
        ask: Callable[[_Key], Awaitable[_Value]],
        *,
        now: Callable[[], float],
        per_second: float,
        payer: Callable[[_Key], Hashable] = _nobody,
    ) -> None:
        self._what = what
        self._ask = ask
        self._now = now
        self._per_second = per_second
        self._payer = payer
        self._budgets: dict[Hashable, Budget] = {}
        self._cache: dict[_Key, tuple[float, _Value]] = {}
        self._flights: dict[_Key, asyncio.Task[_Value]] = {}
        self._once = Once(warn)

    async def get(self, key: _Key) -> _Value:
        """Return the last usable answer; raise Unavailable within a second when there is none."""
        known = self._cache.get(key)
        age = self._now() - known[0] if known else float("inf")
        if known and age < FRESH_SECONDS:
            return known[1]
        stands_in = known is not None and age < FRESH_SECONDS + STALE_SECONDS
        patience = ANEW_SECONDS if stands_in else PATIENCE_SECONDS
        try:
            return await asyncio.wait_for(asyncio.shield(self._flight(key)), patience)
        except (KubeError, TimeoutError) as error:
            if known is not None and stands_in:
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
        if not self._budget(key).take(self._now()):
            raise KubeError(0, "TooMany", "too many new callers at once")
        flight = asyncio.get_running_loop().create_task(self._fly(key))
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _budget(self, key: _Key) -> Budget:
        payer = self._payer(key)
        budget = self._budgets.pop(payer, None) or Budget(self._per_second, self._now())
        self._budgets[payer] = budget  # the last that paid is the last to go
        if len(self._budgets) > MAX_PAYERS:
            del self._budgets[next(iter(self._budgets))]
        return budget

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
