"""The bill: what the GPU-seconds cost in the user's prices, by account, together and at night."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import structs

from adapter.model.spending import Spent
from adapter.night import hours
from adapter.ops.cost import Costs
from adapter.settings import Prices, Tariff

_HOUR = 3600.0


class Held(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """GPU-seconds of some hours of the day; a cost is None where no price is given for any."""

    held_seconds: float
    idle_seconds: float
    cost: float | None
    idle_cost: float | None


class Night(Held, frozen=True, rename="camel", kw_only=True):
    """The same from the one hour until before the other, UTC."""

    from_hour: int
    to_hour: int


class Item(Spent, frozen=True, rename="camel", kw_only=True):
    """One account and what it cost; None throughout where no price is given for it."""

    price_per_gpu_hour: float | None
    cost: float | None
    idle_cost: float | None
    night: Held


class Bill(Costs, frozen=True, rename="camel", kw_only=True):
    """All that was asked for; `without_price` accounts are in the seconds and not in the costs.

    `currency` is None where the prices name none.
    """

    spent: tuple[Item, ...]
    currency: str | None
    cost: float | None
    idle_cost: float | None
    without_price: int
    night: Night


def of(costs: Costs, prices: Prices, night: tuple[int, int]) -> Bill:
    """Return the costs with what they come to; `night` is two hours of UTC."""
    dark = hours(night)
    items = tuple(
        _item(one, prices.of(one.account.product, spot=one.account.spot), dark)
        for one in costs.spent
    )
    return Bill(
        taken_at=costs.taken_at,
        began_at=costs.began_at,
        spent=items,
        more=costs.more,
        tariff=Tariff(prices, f"{night[0]}-{night[1]}"),
        currency=prices.currency or None,
        cost=_sum(one.cost for one in items),
        idle_cost=_sum(one.idle_cost for one in items),
        without_price=sum(one.cost is None for one in items),
        night=_night([one.night for one in items], night),
    )


def _item(one: Spent, price: float | None, dark: Sequence[int]) -> Item:
    whole = _held(sum(one.held_by_hour), one.idle_seconds, price)
    held = sum(one.held_by_hour[hour] for hour in dark)
    idle = sum(one.idle_by_hour[hour] for hour in dark)
    return Item(
        **structs.asdict(one),
        price_per_gpu_hour=price,
        cost=whole.cost,
        idle_cost=whole.idle_cost,
        night=_held(held, idle, price),
    )


def _held(held: float, idle: float, price: float | None) -> Held:
    cost, idle_cost = (None if price is None else it / _HOUR * price for it in (held, idle))
    return Held(held_seconds=held, idle_seconds=idle, cost=cost, idle_cost=idle_cost)


def _night(parts: Sequence[Held], night: tuple[int, int]) -> Night:
    return Night(
        held_seconds=sum(one.held_seconds for one in parts),
        idle_seconds=sum(one.idle_seconds for one in parts),
        cost=_sum(one.cost for one in parts),
        idle_cost=_sum(one.idle_cost for one in parts),
        from_hour=night[0],
        to_hour=night[1],
    )


def _sum(costs: Iterable[float | None]) -> float | None:
    """Return the sum of those that are known; None where none is."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None
