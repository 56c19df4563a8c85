"""Progress is one line on a terminal, and silence elsewhere."""

from __future__ import annotations

import io

from adapter.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_the_share_and_an_empty_line_in_the_end() -> None:
    screen = Terminal()
    with Progress(screen, "reactive") as progress:
        progress.show(0.42)
        progress.show(0.43)  # too soon after the last one
    assert screen.getvalue() == "\r\033[Kreactive:  42%\r\033[K"


def test_a_file_sees_nothing() -> None:
    stream = io.StringIO()
    with Progress(stream, "reactive") as progress:
        progress.show(0.42)
    assert stream.getvalue() == ""
