"""What was asked for lately: the totals that the loop keeps up to date."""

from __future__ import annotations

from adapter.model.snapshot import TotalKey

FORGET_SECONDS = 300.0  # twenty syncs of an HPA
# A cluster of 1,000 workloads with five metrics each stays below; it bounds a hostile caller.
MAX_TOTALS = 10_000


class Asked:
    """Remembers each total for `FORGET_SECONDS` after it was asked for last."""

    def __init__(self) -> None:
        self._totals: dict[TotalKey, float] = {}

    def total(self, key: TotalKey, now: float) -> None:
        """Note that the total of a workload that exists was asked for."""
        if key not in self._totals and len(self._totals) >= MAX_TOTALS:
            self._forget(now)
            if len(self._totals) >= MAX_TOTALS:
                return
        self._totals[key] = now

    def totals(self, now: float) -> tuple[TotalKey, ...]:
        """Return the totals that are in use."""
        self._forget(now)
        return tuple(self._totals)

    def _forget(self, now: float) -> None:
        for key in [key for key, at in self._totals.items() if now - at > FORGET_SECONDS]:
            del self._totals[key]
