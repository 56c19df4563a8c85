"""The slots: a few places for work that namespaces share, each namespace's turn after the others'.

Tenants own their pods, and so how many there are and how long each takes: whoever has one page
waits for one of each other namespace, not for the thousand of one that has many.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """Gives away `places`, to one namespace at most `each` at a time."""

    def __init__(self, places: int, each: int) -> None:
        self._free = places
        self._each = each
        self._held: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # whose turn is next stands first

    @asynccontextmanager
    async def of(self, namespace: str) -> AsyncIterator[None]:
        """Hold a place of the namespace's, once it is its turn."""
        await self._take(namespace)
        try:
            yield
        finally:
            self._give(namespace)

    async def _take(self, namespace: str) -> None:
        if self._free and self._held[namespace] < self._each:
            self._hold(namespace)
            return
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(namespace, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(namespace, turn)
            else:  # it was given a place in the same moment
                self._give(namespace)
            raise

    def _hold(self, namespace: str) -> None:
        self._free -= 1
        self._held[namespace] += 1

    def _give(self, namespace: str) -> None:
        """Take a place back; at most one who waits can have it, since none could have another."""
        self._free += 1
        self._held[namespace] -= 1
        if not self._held[namespace]:
            del self._held[namespace]
        for waiting in list(self._lines):
            if self._held[waiting] < self._each and (turn := self._next(waiting)):
                self._hold(waiting)
                turn.set_result(None)
                return

    def _next(self, namespace: str) -> asyncio.Future[None] | None:
        """Return the namespace's next who still waits; its line goes behind the others'."""
        line = self._lines.pop(namespace)
        turn = line.popleft()
        while turn.done() and line:  # it was cancelled, and has not left yet
            turn = line.popleft()
        if line:
            self._lines[namespace] = line
        return None if turn.done() else turn

    def _leave(self, namespace: str, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(namespace, deque())
        if turn in line:
            line.remove(turn)
        if not line:
            self._lines.pop(namespace, None)
