"""What was asked for lately: the views and totals that the loop keeps up to date."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from adapter.errors import NoValue
from adapter.model.catalogue import View
from adapter.model.snapshot import TotalKey

FORGET_SECONDS = 300.0  # twenty syncs of an HPA
VIEWS_PER_METRIC = 64
# A cluster of 1,000 workloads with five metrics each stays below; it bounds a hostile caller.
MAX_TOTALS = 10_000

_Key = TypeVar("_Key", bound=Hashable)


class Asked:
    """Remembers each view and total for `FORGET_SECONDS` after it was asked for last."""

    def __init__(self) -> None:
        self._views: dict[str, dict[View, float]] = {}
        self._totals: dict[TotalKey, float] = {}

    def view(self, metric: str, view: View, now: float) -> None:
        """Note that a view was asked for; raise NoValue when the metric has too many already."""
        views = self._views.setdefault(metric, {})
        if view not in views and len(views) >= VIEWS_PER_METRIC:
            _forget(views, now)
            if len(views) >= VIEWS_PER_METRIC:
                raise NoValue(
                    f"{metric} is looked at in {VIEWS_PER_METRIC} ways already; use one of those,"
                    f" or wait until one was not asked for in {FORGET_SECONDS:.0f} s"
                )
        views[view] = now

    def total(self, key: TotalKey, now: float) -> None:
        """Note that the total of a workload that exists was asked for."""
        if key not in self._totals and len(self._totals) >= MAX_TOTALS:
            _forget(self._totals, now)
            if len(self._totals) >= MAX_TOTALS:
                return
        self._totals[key] = now

    def views(self, now: float) -> frozenset[View]:
        """Return the views of any metric that are in use."""
        for views in self._views.values():
            _forget(views, now)
        return frozenset(view for views in self._views.values() for view in views)

    def totals(self, now: float) -> tuple[TotalKey, ...]:
        """Return the totals that are in use."""
        _forget(self._totals, now)
        return tuple(self._totals)


def _forget(times: dict[_Key, float], now: float) -> None:
    for key in [key for key, at in times.items() if now - at > FORGET_SECONDS]:
        del times[key]
