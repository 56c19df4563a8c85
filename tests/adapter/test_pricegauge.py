"""The price as a metric: of each product, spot apart, with the labels of the GPU-seconds."""

from __future__ import annotations

from adapter.model.holding import Node
from adapter.model.spending import Spending
from adapter.pricegauge import PriceGauge
from adapter.settings import Price, Prices, Tariff
from tests.adapter.model.test_spending import gpu_pod, spent
from tests.adapter.model.world import World
from tests.adapter.test_spentcounter import figures


def shown(prices: Prices, ledger: Spending) -> dict[tuple[str, str], float]:
    """Prices by product and spot."""
    (family,) = PriceGauge(ledger, lambda: Tariff(prices)).collect()
    assert {one.labels["currency"] for one in family.samples} <= {prices.currency}
    return {(one.labels["product"], one.labels["spot"]): one.value for one in family.samples}


def test_without_prices_there_is_no_series() -> None:
    assert shown(Prices(), spent(World(gpu_pod("a")), 1)) == {}


def test_what_is_named_has_a_price_before_anybody_holds_it() -> None:
    prices = Prices({"H100": Price(4.0, 1.5), "A10": Price(0.0)}, "EUR")
    assert shown(prices, Spending()) == {
        ("H100", ""): 4.0, ("H100", "false"): 4.0, ("H100", "true"): 1.5,
        ("A10", ""): 0.0, ("A10", "false"): 0.0, ("A10", "true"): 0.0,
    }  # fmt: skip


def test_what_default_stands_for_has_a_price_once_it_is_held_and_others_have_none() -> None:
    world = World(gpu_pod("a"), gpu_pod("b"))
    world.change("b", node="n2")
    world.nodes = {"n1": Node(product="H100", spot=True), "n2": Node(product="L40", spot=False)}
    ledger = spent(world, 1)
    assert ("L40", "false") not in shown(Prices({"H100": Price(4.0)}), ledger)
    found = shown(Prices({"H100": Price(4.0), "default": Price(9.0, 3.0)}), ledger)
    assert found["H100", "true"] == 4.0
    assert found["L40", "false"] == 9.0
    assert found["", ""] == 9.0
    assert found["", "true"] == 3.0


def test_each_account_of_the_seconds_finds_its_price_by_the_same_labels() -> None:
    ledger = spent(World(gpu_pod("a")), 1)
    (pair,) = {(product, spot) for _, product, spot, _ in figures(ledger)}
    assert pair in shown(Prices({"default": Price(9.0)}), ledger)


def test_another_price_in_the_settings_is_told_at_the_next_scrape() -> None:
    now = [Tariff()]
    gauge = PriceGauge(Spending(), lambda: now[-1])
    assert [len(family.samples) for family in gauge.collect()] == [0]
    now.append(Tariff(Prices({"H100": Price(4.0)})))
    assert [len(family.samples) for family in gauge.collect()] == [3]
