"""The screen: draws the picture in place on a terminal, or writes a line now and then elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, TextIO

from adapter.demo.view import LINES, Paint, Scene, picture, plain

PLAIN_SECONDS = 5.0  # between two lines of a log

_ENTER = "\x1b[?1049h\x1b[?25l"  # the other screen, no cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"
_CLEAR_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"
_CUT = "\x1b[?7l"  # lines end at the edge
_WRAP = "\x1b[?7h"


class Screen(Protocol):
    """Shows scenes between `with` and its end."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def say(self, words: str) -> None: ...
    def show(self, scene: Scene) -> None: ...


def choose(stream: TextIO, environment: Mapping[str, str]) -> Screen:
    """Return the live screen for a terminal, else the log; NO_COLOR takes the colours away."""
    if not stream.isatty() or environment.get("TERM") == "dumb":
        return Log(stream.write, stream.flush)
    return Live(stream, Paint(colour=not environment.get("NO_COLOR")))


class Live:
    """Redraws the picture in place on the terminal's other screen, which it leaves as it was."""

    def __init__(self, stream: TextIO, paint: Paint) -> None:
        self._stream = stream
        self._paint = paint

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._write(_LEAVE)

    def say(self, words: str) -> None:
        self._draw([words])

    def show(self, scene: Scene) -> None:
        self._draw(picture(scene, self._paint))

    def _draw(self, lines: Sequence[str]) -> None:
        """Draw over what was there; the last line, made to be copied, may wrap."""
        # Some terminals do not know their size and say 0.
        room = (os.get_terminal_size(self._stream.fileno()).lines or LINES) - 2
        shown = [*lines[:-1][: max(room, 0)], lines[-1]]
        body = "\n".join(f"{line}{_CLEAR_LINE}" for line in shown[:-1])
        last = f"{_WRAP}{shown[-1]}{_CLEAR_BELOW}"
        self._write(f"{_HOME}{_CUT}{body}\n{last}" if body else f"{_HOME}{last}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Log:
    """Writes a line every few seconds, and the autoscaler's words whenever replicas change."""

    def __init__(self, write: Callable[[str], object], flush: Callable[[], None]) -> None:
        self._write = write
        self._flush = flush
        self._next_seconds = 0.0
        self._replicas: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()

    def say(self, words: str) -> None:
        self._line(words)

    def show(self, scene: Scene) -> None:
        if self._replicas is None:
            for command in (scene.curl, *scene.commands):
                self._line(f"ask it yourself, while this runs: {command}")
        elif scene.replicas != self._replicas:
            self._line(f"scaled {self._replicas} -> {scene.replicas}, since")
            for sentence in scene.arithmetic:
                self._line(f"    {sentence}")
            self._next_seconds = scene.elapsed_seconds
        self._replicas = scene.replicas
        if scene.elapsed_seconds >= self._next_seconds:
            self._next_seconds = scene.elapsed_seconds + PLAIN_SECONDS
            self._line(plain(scene))

    def _line(self, text: str) -> None:
        self._write(f"{text}\n")
        self._flush()
