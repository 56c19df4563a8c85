"""The hindsight plot: late requests over GPU-hours, a panel a trace, a line by target a policy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from bench.hindsight import Point

PANEL, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 318, 300, 72, 8, 44, 36
INK, GRID = "#333", "#ddd"
COLOURS = ("#8a5a00", "#0b6e4f")
LEAST, MOST = 1e-4, 0.5  # late: what is less is drawn at the foot


class Line(msgspec.Struct, frozen=True):
    """A policy's outcomes by target."""

    name: str
    points: tuple[Point, ...]


class Panel(msgspec.Struct, frozen=True):
    """A trace; GPU-hours are drawn as multiples of `base_gpu_hours`."""

    name: str
    base_gpu_hours: float
    lines: tuple[Line, ...]


def svg(panels: Sequence[Panel], marked: float) -> str:
    """Return the plot; the points of the target `marked` are filled."""
    width = PANEL * len(panels)
    drawn = "".join(
        f'<g transform="translate({PANEL * at} 0)">{_panel(panel, marked)}</g>'
        for at, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" role="img"'
        f' font-family="sans-serif" font-size="11" fill="{INK}">'
        "<title>Late requests over GPU-hours, with and without the forecast, by target</title>"
        f'<rect width="{width}" height="{HEIGHT}" fill="#fff"/>{drawn}</svg>\n'
    )


def _panel(panel: Panel, marked: float) -> str:
    costs = [p.gpu_hours / panel.base_gpu_hours for line in panel.lines for p in line.points]
    low, high = math.floor(10 * min(costs)) / 10, math.ceil(10 * max(costs)) / 10
    parts = [f'<text x="{LEFT}" y="14" font-weight="bold">{panel.name}</text>']
    parts += [_level(late) for late in (0.1, 0.01, 0.001, LEAST)]
    ticks = [low + (high - low) * step / 4 for step in range(5)]
    parts += [
        f'<text x="{_x(tick, low, high):.1f}" y="{HEIGHT - 20}" text-anchor="middle">{tick:.2g}'
        "</text>"
        for tick in ticks
    ]
    parts.append(
        f'<text x="{(LEFT + PANEL - RIGHT) / 2}" y="{HEIGHT - 5}" text-anchor="middle">'
        "GPU-hours, x those of arrivals at 90 %</text>"
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text transform="translate(12 {middle:.1f}) rotate(-90)" text-anchor="middle">'
        "late requests, logarithmic</text>"
    )
    for at, line in enumerate(panel.lines):
        places = [
            (_x(p.gpu_hours / panel.base_gpu_hours, low, high), _y(p.late_ratio), p)
            for p in sorted(line.points, key=lambda point: point.target)
        ]
        parts.append(_line(places, line.name, COLOURS[at % len(COLOURS)], at, marked))
    return "".join(parts)


def _line(
    places: Sequence[tuple[float, float, Point]], name: str, colour: str, at: int, marked: float
) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 if p.target == marked else 2.5}"'
        f' stroke="{colour}" fill="{colour if p.target == marked else "#fff"}">'
        f"<title>{name}, target {p.target:.0%}</title></circle>"
        for x, y, p in places
    )
    return (
        f'<text x="{LEFT + 110 * at}" y="30" fill="{colour}">{name}</text>'
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'
    )


def _level(late_ratio: float) -> str:
    y = _y(late_ratio)
    return (
        f'<line x1="{LEFT}" x2="{PANEL - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
        f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_words(late_ratio)}</text>'
    )


def _words(late_ratio: float) -> str:
    return f"{'≤ ' if late_ratio == LEAST else ''}{100 * late_ratio:g} %"


def _x(cost: float, low: float, high: float) -> float:
    return LEFT + (cost - low) / (high - low) * (PANEL - LEFT - RIGHT)


def _y(late_ratio: float) -> float:
    share = math.log(max(late_ratio, LEAST) / LEAST) / math.log(MOST / LEAST)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
