"""The terminal: lines no longer than it is wide, and whole ones where a program reads."""

from __future__ import annotations

import os
import textwrap
from typing import TextIO

NARROWEST = 40  # columns: below it a wrapped table is harder to read than a cut one
_HANGING = 4
_GAP = "  "  # what is between two columns of a table


def write(text: str, stream: TextIO) -> None:
    """Write the text and the end of its last line, wrapped where the stream is a terminal."""
    columns = _columns(stream)
    stream.write((wrapped(text, columns) if columns >= NARROWEST else text).rstrip("\n") + "\n")


def _columns(stream: TextIO) -> int:
    """Return how wide the terminal is; 0 for what is none, or does not say."""
    if not stream.isatty():
        return 0
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return 0


def wrapped(text: str, columns: int) -> str:
    """Return the text with no line longer than so many columns, but for single words that are.

    What does not fit goes on under the beginning of its column.
    """
    return "\n".join(part for line in text.split("\n") for part in _parts(line, columns))


def _parts(line: str, columns: int) -> list[str]:
    if len(line) <= columns:
        return [line]
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=" " * _indent(line, columns),
        break_long_words=False,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    )


def _indent(line: str, columns: int) -> int:
    """Return where the last column begins, if half the width is left for it."""
    begins = line.rfind(_GAP, 0, columns // 2) + len(_GAP)
    own = len(line) - len(line.lstrip())
    return begins if line[:begins].strip() else own + _HANGING
