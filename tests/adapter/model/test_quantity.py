"""Quantities that Kubernetes clients read as they were meant."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.quantity import MAX_MILLI, format_milli, is_quantity, parse_milli, to_milli


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.5, "1500m"), (3.0, "3"), (0.0004, "0"), (0.0006, "1m"), (99.9994, "99999m")],
)
def test_a_value_is_rounded_to_the_nearest_thousandth(value: float, text: str) -> None:
    milli = to_milli(np.array([value]))
    assert [format_milli(one) for one in milli.tolist()] == [text]


def test_what_is_no_measurement_has_no_quantity() -> None:
    values = np.array([math.nan, math.inf, -math.inf, -1.0, -1e-9, 0.0, 1e300])
    assert is_quantity(values).tolist() == [False] * 5 + [True] * 2


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1))
def test_any_float_gives_a_safe_quantity_or_none(floats: list[float]) -> None:
    values = np.array(floats)
    sent = values[is_quantity(values)]
    for milli, value in zip(to_milli(sent).tolist(), sent.tolist(), strict=True):
        assert milli == min(MAX_MILLI, round(min(value, MAX_MILLI) * 1000))


@given(st.integers(0, MAX_MILLI))
def test_a_formatted_quantity_reads_back_exactly(milli: int) -> None:
    assert parse_milli(format_milli(milli)) == milli


@pytest.mark.parametrize(
    ("text", "milli"),
    [("5", 5000), ("0.5", 500), ("1500m", 1500), ("2k", 2_000_000), ("1Ki", 1_024_000)]
    + [("0.79999", 800), ("0.3", 300), ("0.0001", 1), ("-0.0001", -1), ("1.0000000001", 1001)]
    + [("7n", 1), ("7u", 1), ("1P", 10**18), ("1Pi", 2**50 * 1000), ("0E", 0), ("1e3", 10**6)]
    + [("1E-2", 10), ("1e-999999999", 1), (".5", 500), ("5.", 5000), ("\u00a05\n", 5000)]
    + [("9223372036854775807m", 2**63 - 1), ("9007199254740993m", 2**53 + 1)],
)
def test_manifest_spellings_round_away_from_zero(text: str, milli: int) -> None:
    assert parse_milli(text) == milli


@pytest.mark.parametrize(
    "text",
    ["", "five", "NaN", "Inf", "1 000", "5 GB", "--1", "\u0665", "m", "\x1c5", "5K"]
    + ["1e", "1e2m", "0" * 101],
)
def test_a_text_that_is_no_quantity_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        parse_milli(text)


@pytest.mark.parametrize("text", ["10P", "1E", "-1E", "1e999999999", "9223372036854775808m"])
def test_a_quantity_that_an_hpa_would_read_as_another_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is too big"):
        parse_milli(text)
