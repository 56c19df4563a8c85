"""`forescale adapter`: runs the adapter itself."""

from __future__ import annotations

from adapter.__main__ import main


def run(argv: list[str]) -> int:
    """Serve until told to stop; the exit code is that of `python -m adapter`."""
    return main(argv)
