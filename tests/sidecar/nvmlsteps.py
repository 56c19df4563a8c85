"""Owns the NVML reader in a process of its own, stepped by a clock that the test holds.

The real pynvml loads the scripted library there: what loads it must be told by its environment
before it starts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROGRAM = """
import json, sys
from sidecar import nvml
from sidecar.reader import Reader
nvml.init()
reader = Reader()
for line in sys.stdin:
    print(json.dumps(reader.read(float(line))), flush=True)
reader.close()
"""


class Steps:
    """One reader; `read` is its answer at a time in seconds, `gpu` one device of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def read(self, now: float) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{now}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def gpus(self, now: float) -> dict[str, Any]:
        """Return the devices by their UUID."""
        return {gpu["uuid"]: gpu for gpu in self.read(now)["gpus"]}

    def gpu(self, now: float, index: int = 0) -> Any:
        return self.read(now)["gpus"][index]


@contextmanager
def steps() -> Iterator[Steps]:
    """Start a reader; its environment is that of the test."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Steps(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()
