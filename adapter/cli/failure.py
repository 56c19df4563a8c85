"""The failure of a subcommand: what went wrong, and what mends it, on standard error."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn


def failed(words: str, hint: str, code: int = 1) -> int:
    """Write the error with its hint and return the exit code."""
    sys.stderr.write(f"error: {words}\nhint: {hint}\n")
    return code


class Parser(argparse.ArgumentParser):
    """A subcommand's options, whose errors read as all others do; they end with code 2."""

    def error(self, message: str) -> NoReturn:
        words = message.removeprefix("argument ")
        sys.exit(failed(words, f"`{self.prog} --help` shows what it takes", 2))
