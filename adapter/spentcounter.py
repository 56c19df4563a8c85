"""The spent counter: GPU-seconds of each workload as a metric, read when it is scraped."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from adapter.model.spending import Account, Spending, Use

_LABELS = ("namespace", "kind", "workload", "product", "spot", "state")


class SpentCounter(Collector):
    """Collects what the Spending knows; it bounds the workloads, label values that tenants choose.

    Every state has a series from an account's first second on, so that an increase is seen whole.
    """

    def __init__(self, spending: Spending) -> None:
        self._spending = spending

    def collect(self) -> Iterator[Metric]:
        """Yield the one family."""
        family = CounterMetricFamily(
            "forescale_adapter_gpu_seconds",
            "GPU-seconds held, by workload, product and what they went into.",
            labels=_LABELS,
        )
        for one in self._spending.sums():
            labels = _values(one.account)
            for use, seconds in zip(Use, one.seconds, strict=True):
                family.add_metric([*labels, use.name.lower()], seconds)
        yield family


def _values(account: Account) -> tuple[str, ...]:
    """Return the label values; what the nodes do not say is empty, as if the label were absent."""
    spot = "" if account.spot is None else str(account.spot).lower()
    return (*structs.astuple(account.workload), account.product or "", spot)
