"""The progress: one line on a terminal while something takes long, nothing elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

EVERY_SECONDS = 0.2


class Progress:
    """Shows a share that is done; the line is gone when it ends."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._shown = 0.0
        self._live = stream.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._stream.write("\r\033[K")
            self._stream.flush()

    def show(self, share: float) -> None:
        """Show the share, of 0 to 1; called as often as one likes."""
        now = time.monotonic()
        if not self._live or now - self._shown < EVERY_SECONDS:
            return
        self._shown = now
        self._stream.write(f"\r\033[K{self._name}: {share:4.0%}")
        self._stream.flush()
