"""The price gauge: what a GPU-hour costs by the settings in effect, read when it is scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapter.model.spending import Spending
from adapter.settings import ANY_PRODUCT, Prices, Tariff


class PriceGauge(Collector):
    """Collects a price for all that is named, and for what was held that `default` stands for.

    Its labels `product` and `spot` are those of the GPU-seconds, to be multiplied by it: a node
    that says neither is both empty. What is named has its price also while nobody holds it, since
    a past that another replica counted has one, too. Without a price there is no series.
    """

    def __init__(self, spending: Spending, tariff: Callable[[], Tariff]) -> None:
        self._spending = spending
        self._tariff = tariff

    def collect(self) -> Iterator[Metric]:
        """Yield the one family."""
        family = GaugeMetricFamily(
            "forescale_adapter_gpu_price_per_hour",
            "What an hour of one GPU costs by the settings, by product and by whether it is spot.",
            labels=("product", "spot", "currency"),
        )
        prices = self._tariff().prices
        for product, spot in {*_named(prices), *self._held()}:
            price = prices.of(product, spot=spot)
            if price is not None:
                said = "" if spot is None else str(spot).lower()
                family.add_metric([product, said, prices.currency], price)
        yield family

    def _held(self) -> Iterator[tuple[str, bool | None]]:
        for one in self._spending.sums():
            yield one.account.product or "", one.account.spot


def _named(prices: Prices) -> Iterator[tuple[str, bool | None]]:
    for name in prices.per_gpu_hour:
        for spot in (None, False, True):
            yield "" if name == ANY_PRODUCT else name, spot
