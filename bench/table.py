"""The table: one claim's figures as Markdown that can be quoted as it stands."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path


def markdown(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], *notes: str) -> str:
    """Return the title, the table and what has to be known about it; figures stand right."""
    lines = [f"### {title}", "", _line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    lines += [_line(row) for row in rows]
    return "\n".join([*lines, "", *notes]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the nearest-rank percentile; NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def median(values: Iterable[float]) -> float:
    return percentile(values, 50)


def figure(value: float, digits: int = 2) -> str:
    """Return the value with this many significant digits, whole from there on; `-` for NaN."""
    if math.isnan(value):
        return "-"
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits - 1 - math.floor(math.log10(abs(value)))}f}"


def machine(load_before: float) -> str:
    """Return what the figures were taken on; the load averages tell what else ran."""
    cores = len(os.sched_getaffinity(0))
    now = os.getloadavg()[0]
    return f"{cores} cores ({_processor()}), load average {load_before:.1f} before, {now:.1f} after"


def load() -> float:
    """Return the machine's load average over the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine
