"""The failure of a subcommand: what went wrong, and what mends it, on standard error."""

from __future__ import annotations

import sys


def failed(words: str, hint: str, code: int = 1) -> int:
    """Write the error with its hint and return the exit code."""
    sys.stderr.write(f"error: {words}\nhint: {hint}\n")
    return code
