"""The prices: what a GPU-hour costs, by product and by whether its node is spot; the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from adapter import unread
from adapter.errors import SettingsError
from adapter.model.spending import Account

ANY = "default"  # the product that stands for all that are not named


class Price(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Of one GPU for an hour; without `spot` a spot node costs as much as another."""

    on_demand: float
    spot: float | None = None


class Prices(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A file of prices; `currency` is only shown."""

    per_gpu_hour: Mapping[str, Price]
    currency: str = ""

    def of(self, account: Account) -> float | None:
        """Return what an hour of one of its GPUs costs, None where no price is given for it."""
        price = self.per_gpu_hour.get(account.product or ANY, self.per_gpu_hour.get(ANY))
        if price is None:
            return None
        return price.on_demand if not account.spot or price.spot is None else price.spot


NONE = Prices({})


def read(path: str) -> Prices:
    """Return the prices of a YAML file; raise SettingsError with what is wrong with it."""
    try:
        found = msgspec.convert(yaml.safe_load(Path(path).read_bytes()), Prices)
    except (OSError, yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} cannot be read as prices: {unread.why(error)}"]) from error
    figures = [
        figure
        for price in found.per_gpu_hour.values()
        for figure in (price.on_demand, price.spot)
        if figure is not None
    ]
    if not all(0 <= figure < float("inf") for figure in figures):
        raise SettingsError([f"{path}: a price is negative or no number"])
    return found
