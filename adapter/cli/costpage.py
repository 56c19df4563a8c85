"""The cost page in text: a line for each workload and product, their sum, and the nights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapter.cli import table
from adapter.cli.prices import Prices
from adapter.model.spending import HOURS, Spent
from adapter.ops.cost import Costs

_HOUR = 3600.0
_HEAD = ("WORKLOAD", "GPU", "NOW", "GPU-HOURS", "BUSY", "IDLE", "LOADING", "UNKNOWN", "COST", "OF IT IDLE")  # fmt: skip  # noqa: E501


def text(costs: Costs, prices: Prices, night: tuple[int, int]) -> str:
    """Return the page; what has no price has no cost, and is named as left out of the sum."""
    if not costs.spent or costs.began_at is None:
        return "no pod with a source has held a GPU since the adapter began to listen"
    return "\n".join(_page(costs, costs.taken_at - costs.began_at, prices, night))


def _page(costs: Costs, seconds: float, prices: Prices, night: tuple[int, int]) -> Iterator[str]:
    yield f"GPU-hours of the last {_hours(seconds)} h, since this replica of the adapter listens"
    yield ""
    yield from table.lines([_HEAD, *(_row(one, prices) for one in costs.spent)])
    if costs.more:
        yield f"and {costs.more} more: -n NAMESPACE or a name shows them"
    yield ""
    yield from _sums(costs.spent, prices, night)


def _row(one: Spent, prices: Prices) -> tuple[str, ...]:
    workload, price = one.account.workload, prices.of(one.account)
    product = (one.account.product or "?") + (" spot" if one.account.spot else "")
    figures = (one.busy_seconds, one.idle_seconds, one.loading_seconds, one.unknown_seconds)
    return (
        f"{workload.namespace}/{workload.name}",
        product,
        str(one.gpus),
        _hours(sum(figures)),
        *(_hours(seconds) for seconds in figures),
        _money(sum(figures), price),
        _money(one.idle_seconds, price),
    )


def _sums(spent: Sequence[Spent], prices: Prices, night: tuple[int, int]) -> Iterator[str]:
    priced = [(one, price) for one in spent if (price := prices.of(one.account)) is not None]
    if priced:
        whole = sum(sum(one.held_by_hour) * price for one, price in priced) / _HOUR
        idle = sum(one.idle_seconds * price for one, price in priced) / _HOUR
        yield f"together {whole:.2f} {prices.currency}".rstrip() + f", of it idle {idle:.2f}"
    if len(priced) < len(spent):
        yield f"without a price: {len(spent) - len(priced)} of {len(spent)} (--prices FILE)"
    dark = nightly(night)
    held = sum(one.held_by_hour[hour] for one in spent for hour in dark)
    idle = sum(one.idle_by_hour[hour] for one in spent for hour in dark)
    said = f"from {night[0]} to {night[1]} h UTC {_hours(held)} GPU-hours were held,"
    said += f" {_hours(idle)} of them idle"
    if priced:
        cost = sum(one.idle_by_hour[h] * price for one, price in priced for h in dark) / _HOUR
        said += f": {cost:.2f} {prices.currency}".rstrip()
    yield said


def nightly(night: tuple[int, int]) -> list[int]:
    """Return the hours from the first until before the last, across midnight too."""
    first, last = night
    return [(first + n) % HOURS for n in range((last - first) % HOURS)]


def _hours(seconds: float) -> str:
    return f"{seconds / _HOUR:.1f}"


def _money(seconds: float, price: float | None) -> str:
    return "-" if price is None else f"{seconds / _HOUR * price:.2f}"
