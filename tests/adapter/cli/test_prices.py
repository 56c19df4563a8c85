"""Prices are the user's: by product, spot apart, and what is not given has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.cli.prices import NONE, read
from adapter.errors import SettingsError
from adapter.model.exits import Workload
from adapter.model.spending import Account

TEXT = """
currency: EUR
perGpuHour:
  H100: {onDemand: 4, spot: 1.5}
  A10: {onDemand: 1}
"""


def account(product: str | None, *, spot: bool | None = None) -> Account:
    return Account(Workload("default", "Deployment", "llm"), product, spot)


@pytest.mark.parametrize(
    ("product", "spot", "price"),
    [
        ("H100", False, 4.0),
        ("H100", None, 4.0),
        ("H100", True, 1.5),
        ("A10", True, 1.0),
        ("L40", False, None),
        (None, False, None),
    ],
)
def test_a_product_has_its_price(
    tmp_path: Path, product: str | None, *, spot: bool | None, price: float | None
) -> None:
    (tmp_path / "prices.yaml").write_text(TEXT)
    assert read(str(tmp_path / "prices.yaml")).of(account(product, spot=spot)) == price


def test_a_default_stands_for_what_is_not_named_and_without_a_file_nothing_has_a_price(
    tmp_path: Path,
) -> None:
    (tmp_path / "prices.yaml").write_text(TEXT + "  default: {onDemand: 9}\n")
    found = read(str(tmp_path / "prices.yaml"))
    assert [found.of(account(name)) for name in ("L40", None, "A10")] == [9.0, 9.0, 1.0]
    assert NONE.of(account("H100")) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("perGpuHour: {H100: 4}", "perGpuHour"),
        ("perGpuHour: {H100: {ondemand: 4}}", "ondemand"),
        ("perGpuHour: {H100: {onDemand: -4}}", "negative"),
        ("perGpuHour: {H100: {onDemand: .nan}}", "negative or no number"),
        ("{", "cannot be read as prices"),
        ("", "cannot be read as prices"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words):
        read(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml cannot be read"):
        read(str(tmp_path / "none.yaml"))
