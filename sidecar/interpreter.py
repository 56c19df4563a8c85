"""The interpreter: how a process of ours starts another one of ours."""

from __future__ import annotations

import sys


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our modules in this very interpreter.

    Isolated stays isolated: in a model's container PYTHONPATH and PYTHONHOME are the model's.
    """
    isolated = ["-I"] if sys.flags.isolated else []
    return [sys.executable, *isolated, "-m", module, *arguments]
