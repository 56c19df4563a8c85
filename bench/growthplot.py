"""The growth plot: processor time and memory over the number of pods, all axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 336, 56, 56, 24, 48
ABOVE, BELOW = -8.0, 18.0  # where a figure stands beside its dot
INK, GRID, CORE, MEMORY = "#333", "#ddd", "#0b6e4f", "#b3541e"
LEAST, MOST = 0.1, 1000.0  # of both figures


def svg(pods: Sequence[int], core_percent: Sequence[float], resident_mib: Sequence[float]) -> str:
    """Return the plot; all sequences are as long as `pods`, which are in order and above 0."""
    lines = (
        _line(pods, core_percent, CORE, "% of a core", BELOW),
        _line(pods, resident_mib, MEMORY, "MiB", ABOVE),
    )
    grid = [_level(10.0**power) for power in range(-1, 4)]
    ticks = [
        f'<text x="{_x(count, pods):.1f}" y="{HEIGHT - BOTTOM + 18}"'
        f' text-anchor="middle">{count:,}</text>'
        for count in pods
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    ticks.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        "pods that stream to one replica</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' font-family="sans-serif" font-size="12" fill="{INK}">'
        "<title>Processor time and memory of one replica by streaming pods</title>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join((*grid, *ticks, *lines))}'
        "</svg>\n"
    )


def _line(
    pods: Sequence[int], values: Sequence[float], colour: str, unit: str, beside: float
) -> str:
    places = [(_x(n, pods), _y(value)) for n, value in zip(pods, values, strict=True)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
    shown = [f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in values]
    shown[0] += f" {unit}"
    figures = "".join(
        f'<text x="{x:.1f}" y="{y + beside:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{text}</text>"
        for (x, y), text, anchor in zip(
            places, shown, ("start", *("middle",) * (len(shown) - 1)), strict=True
        )
    )
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f"{dots}{figures}"
    )


def _level(value: float) -> str:
    y = _y(value)
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    )


def _x(count: int, pods: Sequence[int]) -> float:
    span = math.log(pods[-1] / pods[0]) or 1.0
    return LEFT + math.log(count / pods[0]) / span * (WIDTH - LEFT - RIGHT)


def _y(value: float) -> float:
    share = math.log(max(value, LEAST) / LEAST) / math.log(MOST / LEAST)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
