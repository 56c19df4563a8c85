"""Times are read as people write them."""

from __future__ import annotations

import argparse

import pytest

from adapter.cli.duration import duration, some_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60.0), ("1.5m", 90.0), ("2h", 7200.0), ("7d", 604_800.0), ("90", 90.0), ("0s", 0.0)],
)
def test_a_time_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "-5s", "5 m", "soon", "1e3", "infs"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        duration(text)


def test_no_time_at_all_is_refused_where_some_is_needed() -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        some_time("0s")
    assert some_time("1s") == 1.0
