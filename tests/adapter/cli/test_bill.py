"""The bill: seconds times prices, by account, together and at night; no price is no cost."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.cli import bill
from adapter.cli.bill import Bill
from adapter.ops.cost import Costs
from adapter.settings import Price, Prices, Tariff
from tests.adapter.cli.test_costpage import EUROS, HOUR, spent

LLM = spent("llm", "H100", busy=2, idle=8)
SPOT = spent("chat", "H100", busy=5, idle=5, spot=True)
OTHER = spent("odd", None, busy=1, idle=1)


def made(prices: Prices = EUROS) -> Bill:
    return bill.of(Costs(10 * HOUR, 0.0, (LLM, SPOT, OTHER), 4), prices, (22, 6))


def test_each_account_has_its_cost_and_its_nights() -> None:
    llm, spot, odd = made().spent
    assert (llm.price_per_gpu_hour, llm.cost, llm.idle_cost) == (4.0, 40.0, 32.0)
    assert (spot.price_per_gpu_hour, spot.cost, spot.idle_cost) == (1.0, 10.0, 5.0)
    assert (odd.price_per_gpu_hour, odd.cost, odd.idle_cost, odd.night.cost) == (None,) * 4
    assert (llm.night.held_seconds, llm.night.idle_seconds) == (8 * HOUR, 8 * HOUR)
    assert (spot.night.cost, spot.night.idle_cost) == (8.0, 5.0)
    assert odd.night.held_seconds == 2 * HOUR


def test_what_has_no_price_is_in_the_seconds_and_not_in_the_costs() -> None:
    found = made()
    assert (found.cost, found.idle_cost, found.currency) == (50.0, 37.0, "EUR")
    assert found.without_price == 1
    night = found.night
    assert (night.from_hour, night.to_hour, night.cost, night.idle_cost) == (22, 6, 40.0, 37.0)
    assert (night.held_seconds, night.idle_seconds) == (18 * HOUR, 14 * HOUR)


def test_without_prices_no_cost_is_zero() -> None:
    found = made(Prices())
    assert (found.cost, found.idle_cost, found.night.cost, found.currency) == (None,) * 4
    assert found.without_price == 3


def test_what_the_adapter_told_stays_as_it_was() -> None:
    costs = Costs(10 * HOUR, 0.0, (LLM, SPOT, OTHER), 4, Tariff(EUROS))
    told = msgspec.json.encode(bill.of(costs, EUROS, (22, 6)))
    assert msgspec.json.decode(told, type=Costs) == costs
    first = msgspec.json.decode(told)["spent"][0]
    assert first["pricePerGpuHour"] == 4.0
    assert first["night"]["idleCost"] == 32.0


@given(st.lists(st.integers(0, 23), min_size=2, max_size=2, unique=True), st.floats(0, 1e6))
def test_a_night_and_its_day_are_the_whole(both: list[int], price: float) -> None:
    first, last = both
    prices, costs = Prices({"default": Price(price)}), Costs(10 * HOUR, 0.0, (LLM, SPOT))
    night, day = (bill.of(costs, prices, dark) for dark in ((first, last), (last, first)))
    assert night.night.held_seconds + day.night.held_seconds == 20 * HOUR
    assert (night.night.cost or 0.0) + (day.night.cost or 0.0) == pytest.approx(night.cost)
