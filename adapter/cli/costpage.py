"""The cost page in text: a line for each workload and product, their sum, and the nights."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.cli import table
from adapter.cli.bill import Bill, Item

_HOUR = 3600.0
_FEW_HOURS = 0.95  # what is less has two decimals
_HEAD = ("WORKLOAD", "GPU", "NOW", "GPU-HOURS", "BUSY", "IDLE", "LOADING", "UNKNOWN", "COST", "OF IT IDLE")  # fmt: skip  # noqa: E501
_NAMELESS = (
    "? is a GPU whose node is not seen or has no label nvidia.com/gpu.product:"
    " its price is that of `default`"
)


def text(bill: Bill) -> str:
    """Return the page; what has no price has no cost, and is named as left out of the sum."""
    if not bill.spent or bill.began_at is None:
        return "no pod with a source has held a GPU since the adapter began to listen"
    return "\n".join(_page(bill, bill.taken_at - bill.began_at))


def _page(bill: Bill, seconds: float) -> Iterator[str]:
    yield f"GPU-hours of the last {_hours(seconds)} h, since this replica of the adapter listens"
    yield ""
    yield from table.lines([_HEAD, *map(_row, bill.spent)])
    if bill.more:
        yield f"and {bill.more} more: -n NAMESPACE or a name shows them"
    if any(one.account.product is None for one in bill.spent):
        yield _NAMELESS
    yield ""
    yield from _sums(bill)


def _row(one: Item) -> tuple[str, ...]:
    workload = one.account.workload
    product = (one.account.product or "?") + (" spot" if one.account.spot else "")
    figures = (one.busy_seconds, one.idle_seconds, one.loading_seconds, one.unknown_seconds)
    return (
        f"{workload.namespace}/{workload.name}",
        product,
        str(one.gpus),
        _hours(sum(figures)),
        *(_hours(seconds) for seconds in figures),
        _money(one.cost),
        _money(one.idle_cost),
    )


def _sums(bill: Bill) -> Iterator[str]:
    currency, night = f" {bill.currency}" if bill.currency else "", bill.night
    if bill.cost is not None:
        yield f"together {_money(bill.cost)}{currency}, of it idle {_money(bill.idle_cost)}"
    if bill.without_price:
        yield f"without a price: {bill.without_price} of {len(bill.spent)} (--prices FILE)"
    said = f"from {night.from_hour} to {night.to_hour} h UTC {_hours(night.held_seconds)} GPU-hours"
    said += f" were held, {_hours(night.idle_seconds)} of them idle"
    yield said if bill.cost is None else f"{said}: {_money(night.idle_cost)}{currency}"


def _hours(seconds: float) -> str:
    """Return hours; a minute of one GPU is not nothing, as in the first hour and in the demo."""
    hours = seconds / _HOUR
    return f"{hours:.2f}" if 0 < hours < _FEW_HOURS else f"{hours:.1f}"


def _money(cost: float | None) -> str:
    return "-" if cost is None else f"{cost:.2f}"
