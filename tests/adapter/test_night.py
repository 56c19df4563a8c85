"""The night is two whole hours of UTC, across midnight too."""

from __future__ import annotations

import pytest

from adapter import night


@pytest.mark.parametrize(
    ("text", "hours"),
    [("22-2", [22, 23, 0, 1]), ("1-3", [1, 2]), ("22-24", [22, 23]), ("0-24", [*range(24)])],
)
def test_a_night_goes_across_midnight(text: str, hours: list[int]) -> None:
    assert night.hours(night.parse(text)) == hours


@pytest.mark.parametrize("text", ["", "22", "22-25", "6-6", "24-0", "x-6", "-1-6", "٢٢-6", "1" * 9])
def test_what_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no night: write two hours, such as 22-6"):
        night.parse(text)
