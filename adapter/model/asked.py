"""What was asked for lately: the totals that the loop keeps up to date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import TypeVar

from adapter.model.catalogue import View
from adapter.model.snapshot import TotalKey

FORGET_SECONDS = 300.0  # twenty syncs of an HPA
# A cluster of 1,000 workloads with five metrics each stays below; it bounds a hostile caller.
MAX_TOTALS = 10_000
# Five views of each metric. Whoever may ask for an object can make up models that it serves, and
# each is worked out at every tick: pod by pod, half a microsecond each.
MAX_PER_OBJECT = 64
# Different views of metrics, at 0.06 ms a tick each: every metric's own one, and fifty chosen ones.
MAX_VIEWS = 64

_Key = TypeVar("_Key", bound=Hashable)


class Asked:
    """Remembers each total for `FORGET_SECONDS` after it was asked for last.

    Where all have no more room, the namespace that has most gives one up, so that nobody can ask
    for so much that another's totals are not remembered.
    """

    def __init__(self) -> None:
        self._namespaces: dict[str, _Namespace] = {}

    def total(self, key: TotalKey, now: float) -> None:
        """Note that the total of a workload that exists was asked for."""
        mine = self._namespaces.get(key.namespace, _Namespace())
        mine.forget(now)
        if not mine.takes(key):
            return
        if key not in mine.totals and not self._makes_room(mine, now):
            return
        mine.note(key, now)
        self._namespaces[key.namespace] = mine

    def totals(self, now: float) -> tuple[TotalKey, ...]:
        """Return the totals that are in use."""
        self._forget(now)
        return tuple(key for found in self._namespaces.values() for key in found.totals)

    def _makes_room(self, mine: _Namespace, now: float) -> bool:
        """Return whether one more may be remembered, where need be in place of another's oldest."""
        if self._count() >= MAX_TOTALS:
            self._forget(now)
        if self._count() < MAX_TOTALS:
            return True
        largest = max(self._namespaces.values(), key=lambda found: len(found.totals))
        if len(largest.totals) <= len(mine.totals) + 1:
            return False
        largest.drop_oldest()
        return True

    def _count(self) -> int:
        return sum(len(found.totals) for found in self._namespaces.values())

    def _forget(self, now: float) -> None:
        for found in self._namespaces.values():
            found.forget(now)
        self._namespaces = {name: found for name, found in self._namespaces.items() if found.totals}


class _Namespace:
    """The totals of one namespace, the one that was asked for longest ago first."""

    def __init__(self) -> None:
        self.totals: dict[TotalKey, float] = {}
        self._objects: Counter[tuple[str, str]] = Counter()
        self._views: Counter[tuple[str, View]] = Counter()

    def takes(self, key: TotalKey) -> bool:
        """Return whether the namespace may have this one, too."""
        if key in self.totals:
            return True
        view_fits = (key.metric, key.view) in self._views or len(self._views) < MAX_VIEWS
        return view_fits and self._objects[key.kind, key.name] < MAX_PER_OBJECT

    def note(self, key: TotalKey, now: float) -> None:
        if self.totals.pop(key, None) is None:
            self._objects[key.kind, key.name] += 1
            self._views[key.metric, key.view] += 1
        self.totals[key] = now

    def forget(self, now: float) -> None:
        while self.totals and now - next(iter(self.totals.values())) > FORGET_SECONDS:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        key = next(iter(self.totals))
        del self.totals[key]
        _less(self._objects, (key.kind, key.name))
        _less(self._views, (key.metric, key.view))


def _less(counts: Counter[_Key], key: _Key) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
