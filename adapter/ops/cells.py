"""The cells: what the status page's tables are made of, and text that is fit to be shown.

Names and reasons are tenants' words: here they lose what could steer a terminal or turn the text
around, and their length has an end. Whoever makes HTML of them escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

MAX_CHARACTERS = (
    300  # of one text; a Status of an HPA is cut at 1,024, and this is one cell of many
)
NONE = "-"


class Cell(NamedTuple):
    """One text; its tone is `num`, `good`, `bad` or none, and never says more than the text."""

    text: str
    tone: str = ""


class Table(msgspec.Struct, frozen=True):
    """One table; `words` stand under it, and alone where it has no rows."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: str = ""


def table(
    name: str, title: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], words: str = ""
) -> Table:
    """Return the table with its texts cleaned."""
    cleaned = tuple(tuple(Cell(clean(c.text), c.tone) for c in row) for row in rows)
    return Table(name, title, tuple(head), cleaned, clean(words))


def clean(text: str) -> str:
    """Return the text in one line, without characters that are not to be seen, cut."""
    cut = text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
    return "".join(one if one.isprintable() else " " for one in cut)
