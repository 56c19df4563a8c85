"""The table: aligned, and made of nothing that a terminal would obey."""

from __future__ import annotations

from adapter.cli import table


def test_columns_stand_under_each_other_without_blanks_at_the_end() -> None:
    assert table.lines([("A", "B"), ("longer", ""), ("x", "y")]) == [
        "A       B",
        "longer",
        "x       y",
    ]


def test_nothing_in_a_cell_ends_a_line_steers_a_terminal_or_fills_the_screen() -> None:
    (line,) = table.lines([("a\x1b[2J\nb\u202ec", "w" * 5000)])
    assert line.startswith("a [2J b c  www")
    assert len(line) < 700
