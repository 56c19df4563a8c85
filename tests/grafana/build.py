"""The program that reads the dashboard: found in the cache, or built into it.

`python -m tests.grafana.build`; its path goes to stdout, progress to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.controlplane.build import BuildError, build_module, built_binary

MODULE = Path(__file__).resolve().parent
NAME = "grafana"


def binary() -> Path:
    """The program, without building it. Raises BuildError with the line to type."""
    return built_binary(MODULE, NAME, "the program that reads the dashboard", "dashboard")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{build_module(MODULE, NAME, 'some seconds')}\n")
    except BuildError as error:
        sys.exit(f"error: {error}")
