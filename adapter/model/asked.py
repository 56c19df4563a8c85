"""What was asked for lately: the totals that the loop keeps up to date."""

from __future__ import annotations

from collections import Counter

from adapter.model.snapshot import TotalKey

FORGET_SECONDS = 300.0  # twenty syncs of an HPA
# A cluster of 1,000 workloads with five metrics each stays below; it bounds a hostile caller.
MAX_TOTALS = 10_000
# Five views of each metric. Whoever may ask for an object can make up models that it serves, and
# each is worked out at every tick: pod by pod, half a microsecond each.
MAX_PER_OBJECT = 64


class Asked:
    """Remembers each total for `FORGET_SECONDS` after it was asked for last."""

    def __init__(self) -> None:
        self._totals: dict[TotalKey, float] = {}
        self._per_object: Counter[tuple[str, str, str]] = Counter()

    def total(self, key: TotalKey, now: float) -> None:
        """Note that the total of a workload that exists was asked for."""
        if key not in self._totals:
            if self._is_full(key):
                self._forget(now)
            if self._is_full(key):
                return
            self._per_object[_object(key)] += 1
        self._totals[key] = now

    def totals(self, now: float) -> tuple[TotalKey, ...]:
        """Return the totals that are in use."""
        self._forget(now)
        return tuple(self._totals)

    def _forget(self, now: float) -> None:
        for key in [key for key, at in self._totals.items() if now - at > FORGET_SECONDS]:
            del self._totals[key]
            self._per_object[_object(key)] -= 1
        self._per_object = +self._per_object  # without those that have none left

    def _is_full(self, key: TotalKey) -> bool:
        mine = self._per_object[_object(key)]
        return len(self._totals) >= MAX_TOTALS or mine >= MAX_PER_OBJECT


def _object(key: TotalKey) -> tuple[str, str, str]:
    return key.namespace, key.kind, key.name
