"""The cost page in text: hours and money, and no money without a price."""

from __future__ import annotations

from adapter.cli import bill, costpage
from adapter.model.exits import Workload
from adapter.model.spending import Account, Spent
from adapter.ops.cost import Costs
from adapter.settings import Price, Prices

EUROS = Prices({"H100": Price(4.0, 1.0)}, "EUR")
HOUR = 3600.0


def spent(name: str, product: str | None, *, busy: float, idle: float, spot: bool = False) -> Spent:
    """GPU-hours that began at 22 h UTC: first the idle ones, one an hour, then the busy ones."""
    account = Account(Workload("default", "Deployment", name), product, spot)
    held, quiet = [0.0] * 24, [0.0] * 24
    for n in range(int(busy + idle)):
        held[(22 + n) % 24] += HOUR
    for n in range(int(idle)):
        quiet[(22 + n) % 24] += HOUR
    return Spent(account, 1, busy * HOUR, idle * HOUR, 0.0, 0.0, tuple(held), tuple(quiet))


def page(*all_spent: Spent, prices: Prices = EUROS, more: int = 0) -> list[str]:
    costs = Costs(10 * HOUR, 0.0, all_spent, more)
    return costpage.text(bill.of(costs, prices, (22, 6))).splitlines()


def test_hours_and_money_of_each_workload_and_of_all() -> None:
    lines = page(
        spent("llm", "H100", busy=2, idle=8), spent("chat", "H100", busy=5, idle=5, spot=True)
    )
    assert not any(line.startswith("?") for line in lines)
    assert lines[0].startswith("GPU-hours of the last 10.0 h")
    assert lines[3].split() == [
        "default/llm", "H100", "1", "10.0", "2.0", "8.0", "0.0", "0.0", "40.00", "32.00",
    ]  # fmt: skip
    assert lines[4].split()[1:3] == ["H100", "spot"]
    assert lines[4].split()[-2:] == ["10.00", "5.00"]
    assert lines[6] == "together 50.00 EUR, of it idle 37.00"
    night = "from 22 to 6 h UTC 16.0 GPU-hours were held, 13.0 of them idle: 37.00 EUR"
    assert lines[7] == night


def test_what_has_no_price_costs_nothing_known_and_is_named() -> None:
    lines = page(spent("llm", "H100", busy=1, idle=1), spent("chat", None, busy=1, idle=1))
    assert lines[4].split()[1] == "?"
    assert lines[4].split()[-2:] == ["-", "-"]
    assert lines[5].startswith("? is a GPU whose node")
    assert "its price is that of `default`" in lines[5]
    assert lines[7] == "together 8.00 EUR, of it idle 4.00"
    assert lines[8] == "without a price: 1 of 2 (--prices FILE)"


def test_without_prices_hours_alone_are_told() -> None:
    lines = page(spent("llm", "H100", busy=1, idle=1), prices=Prices(), more=3)
    assert not any("together" in line for line in lines)
    assert "and 3 more: -n NAMESPACE or a name shows them" in lines
    assert lines[-1] == "from 22 to 6 h UTC 2.0 GPU-hours were held, 1.0 of them idle"


def test_a_few_minutes_are_not_shown_as_none() -> None:
    lines = page(spent("llm", "H100", busy=0.05, idle=0))
    assert lines[3].split()[3:6] == ["0.05", "0.05", "0.0"]


def test_nothing_held_is_said() -> None:
    assert page() == ["no pod with a source has held a GPU since the adapter began to listen"]
