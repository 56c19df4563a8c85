"""The table of a bench: figures, percentiles and Markdown that can be quoted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import table

NAN = math.nan
SECONDS = st.lists(st.floats(min_value=0, max_value=1e6), min_size=1)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (0.0123, "0.012"),
        (0.26, "0.26"),
        (1.25, "1.2"),
        (6.4, "6.4"),
        (41.7, "42"),
        (1234.5, "1,234"),
        (-0.5, "-0.50"),
        (NAN, "-"),
    ],
)
def test_a_figure_has_two_digits_that_count(value: float, written: str) -> None:
    assert table.figure(value) == written


def test_a_figure_has_as_many_digits_as_are_asked_for() -> None:
    assert table.figure(1.2345, digits=3) == "1.23"


def test_the_median_of_three_is_the_middle_one() -> None:
    assert table.median([9.0, 1.0, 2.0]) == 2.0


def test_the_99th_percentile_of_a_hundred_leaves_one_above() -> None:
    assert table.percentile(range(1, 101), 99) == 99


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(table.percentile([], 50))


@given(SECONDS, st.floats(min_value=0, max_value=100))
def test_a_percentile_is_one_of_the_values(values: list[float], percent: float) -> None:
    assert table.percentile(values, percent) in values


@given(SECONDS)
def test_percentiles_never_fall(values: list[float]) -> None:
    found = [table.percentile(values, percent) for percent in (1, 50, 90, 99, 100)]
    assert found == sorted(found)
    assert found[-1] == max(values)


def test_markdown_has_title_head_rows_and_notes_with_figures_to_the_right() -> None:
    written = table.markdown("Age", ("part", "p50"), [("queue", "0.9"), ("GPU", "1.3")], "Why.")
    assert written == (
        "### Age\n\n| part | p50 |\n| --- | ---: |\n| queue | 0.9 |\n| GPU | 1.3 |\n\nWhy.\n"
    )
