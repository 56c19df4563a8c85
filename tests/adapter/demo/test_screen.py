"""The screen draws in place on a terminal and writes lines elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adapter.demo.screen import Live, Log, choose
from tests.adapter.demo.props import scene


def test_without_a_terminal_it_writes_a_line_every_few_seconds() -> None:
    out = io.StringIO()
    with choose(out, {}) as screen:
        assert isinstance(screen, Log)
        for second in range(11):
            screen.show(scene(1, elapsed_seconds=float(second)))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("ask it yourself, while this runs: curl ")
    assert all(" forescale why deployment/llm --adapter http" in line for line in lines[1:3])
    assert [line.split()[0] for line in lines[3:]] == ["0:00", "0:05", "0:10"]
    assert "\x1b" not in out.getvalue()


def test_a_change_of_replicas_is_told_at_once_with_its_arithmetic() -> None:
    out = io.StringIO()
    screen = choose(out, {})
    screen.show(scene(1, sentences=1, elapsed_seconds=0.0, replicas=1))
    screen.show(scene(1, sentences=1, elapsed_seconds=1.0, replicas=4))
    told = out.getvalue()
    assert "scaled 1 -> 4, since\n    llm_inference_pending_requests: 107.833" in told


@pytest.mark.parametrize("height", [30, 24, 10, 1, 0])
def test_a_terminal_is_drawn_in_place_and_given_back(height: int) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, 100, 0, 0))
    with open(slave, "w", encoding="utf-8") as terminal:  # noqa: PTH123 - a descriptor
        with choose(terminal, {"NO_COLOR": "1"}) as screen:
            assert isinstance(screen, Live)
            screen.show(scene(10))
        # As bytes to the end: one read may end within a character.
        shown = os.read(master, 65_536)
        while not shown.endswith(b"\x1b[?1049l"):
            shown += os.read(master, 65_536)
    os.close(master)
    written = shown.decode()
    assert written.startswith("\x1b[?1049h")
    assert "curl " in written
    assert "\x1b[32m" not in written
    drawn = written.split("\x1b[H")[1]
    assert drawn.count("\n") + 2 <= max(height or 30, 2)  # the command takes two


def test_a_dumb_terminal_gets_lines() -> None:
    terminal = SimpleNamespace(isatty=lambda: True, write=print, flush=lambda: None)
    assert isinstance(choose(cast("Any", terminal), {"TERM": "dumb"}), Log)
