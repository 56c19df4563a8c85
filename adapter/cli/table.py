"""The table: columns under each other, of words that neither end a line nor steer a terminal."""

from __future__ import annotations

from collections.abc import Sequence

MAX_CHARACTERS = 600  # of one cell: a tenant's words, or a proxy's whole page


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line a row, two blanks between the columns; all rows have the same length."""
    cleaned = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cleaned, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cleaned
    ]


def printable(words: str) -> str:
    """Return the words in one line, without characters that are not to be seen, cut."""
    return "".join(one if one.isprintable() else " " for one in words[:MAX_CHARACTERS])
