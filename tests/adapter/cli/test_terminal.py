"""A screen's lines are as wide as the terminal, and whole for whoever reads them from a pipe."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios

from hypothesis import given
from hypothesis import strategies as st

from adapter.cli import terminal

WIDE = "  llm-a  serving  4     " + "because of something that is told at length, " * 3


def seen(text: str, columns: int) -> str:
    """Return what a real terminal of that width is sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(theirs, "w") as stream:
        terminal.write(text, stream)
        stream.flush()
        told = os.read(ours, 10_000).decode()
    os.close(ours)
    return told.replace("\r\n", "\n")


def test_a_pipe_and_a_terminal_of_no_width_get_whole_lines() -> None:
    pipe = io.StringIO()
    terminal.write(f"{WIDE}\n\n", pipe)
    assert pipe.getvalue() == f"{WIDE}\n"
    assert seen(WIDE, 0) == f"{WIDE}\n"


def test_what_is_wider_goes_on_under_its_column() -> None:
    told = seen(f"head\n{WIDE}", 80).splitlines()
    assert told[0] == "head"
    assert told[1].startswith("  llm-a  serving  4     because of")
    assert {line[:24] for line in told[2:]} == {" " * 24}
    assert max(map(len, told)) <= 80


def test_a_line_without_columns_goes_on_a_little_further_in() -> None:
    assert seen("  total: none: " + "x y " * 30, 60).splitlines()[1].startswith("      y x")


@given(
    st.lists(st.text("ab:;. ", max_size=300), max_size=5).map("\n".join),
    st.integers(terminal.NARROWEST, 200),
)
def test_no_word_is_lost_and_no_line_too_wide(text: str, columns: int) -> None:
    told = terminal.wrapped(text, columns)
    assert told.split() == text.split()
    for line in told.split("\n"):
        assert len(line) <= columns or len(line.split()) == 1
