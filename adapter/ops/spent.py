"""The spent: the status page's table of GPU-hours, and their cost where there are prices."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from adapter import night
from adapter.model.spending import Account, Sum, Use
from adapter.ops.cells import NONE, Cell, Table, table
from adapter.settings import ANY_PRODUCT, Tariff

MAX_SPENT = 100  # as many as workloads
_HEAD = ("Namespace", "Workload", "GPU", "Now", "GPU-hours", *(use.name.title() for use in Use))
_HOUR = 3600.0


class Cost(msgspec.Struct, frozen=True):
    """What one account cost: all, what was idle of it, what was held in the hours of the night."""

    whole: float
    idle: float
    night: float


def told(spent: Sequence[Sum], tariff: Tariff, seconds: float | None) -> Table:
    """Return the table of the last `seconds`; without any price no column speaks of money."""
    ranked = sorted(spent, key=lambda one: -sum(one.seconds))
    priced = bool(tariff.prices.per_gpu_hour)
    costs = [_cost(one, tariff) for one in ranked]
    rows = [
        _cells(one) + (_money(one.account, cost) if priced else ())
        for one, cost in zip(ranked[:MAX_SPENT], costs, strict=False)
    ]
    words = "None was held yet by a pod with a source."
    if ranked and seconds is not None:
        words = f"Of the last {_hours(seconds)} h, since this replica listens."
        words += _together(costs, tariff) if priced else (
            " What they cost in your prices is told by forescale cost, and here with cost.prices."
        )  # fmt: skip
    if more := len(ranked[MAX_SPENT:]):
        words += f" {more} more are not shown."
    head = (*_HEAD, "Cost", "At night") if priced else _HEAD
    return table("spent", "GPU-hours", head, rows, words)


def _cost(one: Sum, tariff: Tariff) -> Cost | None:
    """Return None where no price is given for it."""
    price = tariff.prices.of(one.account.product, spot=one.account.spot)
    if price is None:
        return None
    seconds = (sum(one.seconds), one.seconds[Use.IDLE], one.night_seconds)
    return Cost(*(held / _HOUR * price for held in seconds))


def _cells(one: Sum) -> tuple[Cell, ...]:
    workload, product = one.account.workload, one.account.product or NONE
    return (
        Cell(workload.namespace),
        Cell(f"{workload.kind} {workload.name}"),
        Cell(f"{product} spot" if one.account.spot else product),
        Cell(str(one.gpus), "num"),
        *(Cell(_hours(seconds), "num") for seconds in (sum(one.seconds), *one.seconds)),
    )


def _money(account: Account, cost: Cost | None) -> tuple[Cell, ...]:
    if cost is None:
        return Cell(f"no price for {account.product or ANY_PRODUCT}"), Cell(NONE, "num")
    return Cell(_amount(cost.whole), "num"), Cell(_amount(cost.night), "num")


def _together(costs: Sequence[Cost | None], tariff: Tariff) -> str:
    known = [cost for cost in costs if cost is not None]
    missing = len(costs) - len(known)
    said = f" Without a price, and in no sum: {missing} of {len(costs)}." if missing else ""
    if not known:
        return said
    currency = f" {tariff.prices.currency}" if tariff.prices.currency else ""
    first, last = night.parse(tariff.night)
    whole, idle = (_amount(sum(it)) for it in zip(*((c.whole, c.idle) for c in known), strict=True))
    dark = _amount(sum(cost.night for cost in known))
    return (
        f" Together {whole}{currency}, {idle} of it idle, and {dark} of it at night"
        f" ({first} to {last} h UTC).{said}"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / _HOUR:,.2f}"


def _amount(cost: float) -> str:
    return f"{cost:,.2f}"
