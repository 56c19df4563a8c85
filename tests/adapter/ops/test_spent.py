"""GPU-hours as a table: the most first, and money where a price is known, never a zero for none."""

from __future__ import annotations

import pytest

from adapter.model.exits import Workload
from adapter.model.spending import Account, Sum
from adapter.ops import spent
from adapter.ops.cells import Table
from adapter.settings import Price, Prices, Tariff

LITTLE = Sum(Account(Workload("default", "Pod", "little")), 0, (0.0, 0.0, 0.0, 36.0), 36.0)
MUCH = Sum(
    Account(Workload("team-b", "Deployment", "much"), "H100", spot=True),
    2,
    (3600.0, 1800.0, 360.0, 0.0),
    1440.0,
)
EUROS = Tariff(Prices({"H100": Price(20.0, 10.0)}, "EUR"), "4-12")


def told(*sums: Sum, tariff: Tariff = EUROS) -> Table:
    return spent.told(sums, tariff, 5400.0)


def texts(found: Table) -> list[list[str]]:
    return [[cell.text for cell in cells] for cells in found.rows]


def test_without_prices_there_are_hours_the_most_first_and_no_money() -> None:
    found = told(LITTLE, MUCH, tariff=Tariff())
    assert texts(found) == [
        ["team-b", "Deployment much", "H100 spot", "2", "1.60", "1.00", "0.50", "0.10", "0.00"],
        ["default", "Pod little", "-", "0", "0.01", "0.00", "0.00", "0.00", "0.01"],
    ]
    assert found.head[-1] == "Unknown"
    assert found.words == (
        "Of the last 1.50 h, since this replica listens. What they cost in your prices is told by"
        " forescale cost, and here with cost.prices."
    )


def test_what_has_a_price_has_its_cost_and_that_of_its_nights() -> None:
    found = told(MUCH)
    assert found.head[-2:] == ("Cost", "At night")
    assert texts(found)[0][-2:] == ["16.00", "4.00"]
    assert found.words == (
        "Of the last 1.50 h, since this replica listens. Together 16.00 EUR, 5.00 of it idle, and"
        " 4.00 of it at night (4 to 12 h UTC)."
    )


def test_what_has_no_price_says_so_and_is_left_out_of_the_sum_in_words() -> None:
    nameless = told(MUCH, LITTLE)
    assert texts(nameless)[1][-2:] == ["no price for default", "-"]
    assert nameless.words.endswith("h UTC). Without a price, and in no sum: 1 of 2.")
    assert "Together 16.00 EUR" in nameless.words
    alone = told(MUCH, tariff=Tariff(Prices({"A10": Price(1.0)})))
    assert texts(alone)[0][-2:] == ["no price for H100", "-"]
    assert alone.words.endswith("listens. Without a price, and in no sum: 1 of 1.")


def test_a_price_of_nothing_is_a_cost_of_nothing_and_a_default_is_for_all() -> None:
    free = Tariff(Prices({"H100": Price(0.0), "default": Price(100.0)}))
    assert [row[-2:] for row in texts(told(MUCH, LITTLE, tariff=free))] == [
        ["0.00", "0.00"],
        ["1.00", "1.00"],
    ]


def test_those_beyond_the_bound_are_counted_and_in_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spent, "MAX_SPENT", 1)
    priced = Tariff(Prices({"default": Price(100.0)}))
    found = told(LITTLE, MUCH, tariff=priced)
    assert len(found.rows) == 1
    assert "Together 161.00, " in found.words
    assert found.words.endswith("1 more are not shown.")


def test_before_anything_is_held_it_says_so() -> None:
    found = spent.told((), EUROS, None)
    assert (found.rows, found.words) == ((), "None was held yet by a pod with a source.")
