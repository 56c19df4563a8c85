"""The prices: what a GPU-hour costs, by product and by whether its node is spot; the user's own."""

from __future__ import annotations

from adapter import load
from adapter.errors import SettingsError
from adapter.settings import Prices


def read(path: str) -> Prices:
    """Return the prices of a YAML file; raise SettingsError with all that is wrong with it."""
    found = load.read(Prices, path)
    if not found.per_gpu_hour:
        example = "PRODUCT: {onDemand: 4.1}"
        raise SettingsError([f"{path}: perGpuHour has no price: write {example} there"])
    return found
