"""Prices are the user's: by product, spot apart, and what is not given has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.cli.prices import read
from adapter.errors import SettingsError
from adapter.settings import Prices

TEXT = """
currency: EUR
perGpuHour:
  H100: {onDemand: 4, spot: 1.5}
  A10: {onDemand: 1}
"""


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
    assert read(str(tmp_path / "prices.yaml")).of(product, spot=spot) == price


def test_a_default_stands_for_what_is_not_named_and_without_a_file_nothing_has_a_price(
    tmp_path: Path,
) -> None:
    (tmp_path / "prices.yaml").write_text(TEXT + "  default: {onDemand: 9}\n")
    found = read(str(tmp_path / "prices.yaml"))
    assert [found.of(name, spot=False) for name in ("L40", None, "A10")] == [9.0, 9.0, 1.0]
    assert Prices().of("H100", spot=False) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("perGpuHour: {H100: 4}", "perGpuHour.H100 is a whole number: write a mapping"),
        ("perGpuHour: {H100: {spot: 4}}", "perGpuHour.H100.onDemand is missing"),
        ("perGpuHour: {H100: {onDemand: 4, s: 1}}", "perGpuHour.H100.s is none of the keys there"),
        ("perGpuHour: {H100: {onDemand: -4}}", "perGpuHour.H100: onDemand is -4: write a price of"),
        ("perGpuHour: {H100: {onDemand: .nan}}", "perGpuHour.H100: onDemand is nan: write a price"),
        ("perGpuHour: {4090: {onDemand: 4}}", "perGpuHour: `4090` is no text: put it in quotes"),
        ("perGpuHour: {a: {onDemand: 4}, a: {onDemand: 5}}", "perGpuHour.a is in lines 1 and 1"),
        ("perGpuHour:", "perGpuHour: it is nothing: write a mapping"),
        ("perGpuhour: {H100: {onDemand: 4}}", "perGpuhour.H100.onDemand is no setting"),
        ("{", "cannot be read: it is no YAML"),
        ("", "perGpuHour has no price: write PRODUCT: {onDemand: 4.1} there"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        read(str(path))
    assert words in str(raised.value)
    assert str(path) in str(raised.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "currency: 7\nperGpuHour: {a: 4, b: {spot: 1}, c: {onDemand: cheap}, d: {onDemand: -1}}\n"
    )
    with pytest.raises(SettingsError) as raised:
        read(str(path))
    assert [one.removeprefix(f"{path}: ") for one in raised.value.problems] == [
        "currency: `7` is no text: put it in quotes",
        "perGpuHour.a is a whole number: write a mapping",
        "perGpuHour.b.onDemand is missing",
        "perGpuHour.c.onDemand is a text: write a number",
        "perGpuHour.d: onDemand is -1: write a price of 0 or more",
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml cannot be read"):
        read(str(tmp_path / "none.yaml"))
