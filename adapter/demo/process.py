"""The child: one program that the demo runs beside itself, and that never outlives it."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from adapter.errors import StartupError

# After SIGTERM both programs of a pod leave within a second; the rest is for a busy machine.
STOP_SECONDS = 4.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child:
    """A running Python module with its log file; `stop` is its one end."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @classmethod
    async def start(
        cls, name: str, module: Sequence[str], *, root: Path, folder: Path, env: Mapping[str, str]
    ) -> Self:
        """Run `python -m MODULE…` from the source tree `root`, its output in a file of `folder`.

        The child has a session of its own, so that Ctrl-C reaches the demo alone, which then stops
        it; and it is killed by the kernel should the demo be killed. Settings in the environment
        of the demo are not for it.
        """
        log = folder / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *module,
                cwd=root,
                env={**_plain_environment(), **env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )
        return cls(name, process, log)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def check(self) -> None:
        """Raise StartupError with the last words of a child that ended by itself."""
        if not self.running:
            raise StartupError(
                f"{self.name} ended with code {self._process.returncode}: {self.last_words()}"
            )

    def last_words(self) -> str:
        """Return the last line that it wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"

    async def stop(self) -> None:
        """End it and whatever it started; returns when it is gone."""
        if self.running:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        # Its session may hold a grandchild (the sidecar's GPU reader) that did not follow.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


def _plain_environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("FORESCALE_")}


def _end_with_parent() -> functools.partial[int]:
    """Return what a child calls on itself before it becomes its program."""
    return functools.partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGKILL)


async def stop_all(children: Sequence[Child]) -> None:
    """Stop all at once."""
    await asyncio.gather(*(child.stop() for child in children))
