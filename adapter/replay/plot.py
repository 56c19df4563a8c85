"""The plot: lines over time as inline SVG, without scripts, fonts or anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

import msgspec
import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]

WIDTH, HEIGHT = 960, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 22
POINTS = 900  # about one a pixel
_GRID_LINES = 4
_HOURS_FROM_MINUTES = 1
_DAYS_FROM_HOURS = 48
_TURNED_FROM = 0.8  # a label further right would be cut
_ABOVE, _BELOW = 5.0, 14.0  # where a label stands; above the highest points it would be cut
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


class Line(msgspec.Struct, frozen=True):
    """One series, [steps], NaN where it has no value; `css` is its class in the page's style."""

    label: str
    values: Figures
    css: str


def thinned(values: Figures, points: int = POINTS) -> Figures:
    """Return the values as the highest of each of at most `points` equal parts: peaks stay.

    A part without any value stays NaN.
    """
    return np.asarray(np.fmax.reduce(_parts(values, points), axis=1))


def averaged(values: Figures, points: int = POINTS) -> Figures:
    """Return the values as the mean of each of at most `points` equal parts."""
    return np.asarray(_parts(values, points).mean(axis=1))


def _parts(values: Figures, points: int) -> Figures:
    part = max(1, -(-len(values) // points))
    return np.pad(values, (0, -len(values) % part), mode="edge").reshape(-1, part)


def svg(
    lines: Sequence[Line], seconds: float, shaded: Figures | None = None, veiled_ratio: float = 0.0
) -> str:
    """Return the plot of series that span the same time; `shaded` [steps] of 0 to 1 is drawn as
    bars from below: the share of requests that were late. A first part of it can be veiled."""
    highest = (float(np.fmax.reduce(line.values, initial=0.0)) for line in lines)
    top = _nice(max(highest, default=1.0))
    parts = [_grid(top, seconds)]
    if shaded is not None:
        parts.append(_bars(averaged(shaded)))
    parts += [_polyline(line, top) for line in lines]
    if veiled_ratio:
        wide, high = _x(veiled_ratio) - LEFT, _y(0) - TOP
        parts.append(
            f'<rect class="veil" x="{LEFT}" y="{TOP}" width="{wide:.1f}" height="{high}"/>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(', '.join(line.label for line in lines))}</title>{''.join(parts)}</svg>"
    )


def _nice(highest: float) -> float:
    """Return the least round figure that is not below the highest."""
    if highest <= 0:
        return 1.0
    size = 10.0 ** np.floor(np.log10(highest))
    return float(next(size * step for step in _NICE if size * step >= highest))


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _polyline(line: Line, top: float) -> str:
    values = thinned(line.values)
    last = max(1, len(values) - 1)
    points = [
        "" if np.isnan(value) else f"{_x(at / last):.1f},{_y(value / top):.1f}"
        for at, value in enumerate(values.tolist())
    ]
    pieces = (list(piece) for known, piece in groupby(points, key=bool) if known)
    return "".join(f'<polyline class="{line.css}" points="{" ".join(piece)}"/>' for piece in pieces)


def _bars(values: Figures) -> str:
    wide = 1.0 / max(1, len(values))
    return "".join(
        f'<rect class="late" x="{_x(at * wide):.1f}" y="{_y(value):.1f}"'
        f' width="{max(1.0, _x(wide) - LEFT):.1f}" height="{_y(0) - _y(value):.1f}"/>'
        for at, value in enumerate(values.tolist())
        if value > 0
    )


def _grid(top: float, seconds: float) -> str:
    parts = []
    for step in range(_GRID_LINES + 1):
        share = step / _GRID_LINES
        y = _y(share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" class="y">{top * share:g}</text>')
        parts.append(_below(share, _when(seconds * share)))
    return "".join(parts)


def _below(share: float, words: str) -> str:
    """Return a label of the lower axis; the last one ends with it."""
    css = "y" if share == 1.0 else "x"
    return f'<text x="{_x(share)}" y="{HEIGHT - 4}" class="{css}">{escape(words)}</text>'


def _when(seconds: float) -> str:
    hours = seconds / 3600.0
    if hours < _HOURS_FROM_MINUTES:
        return f"{seconds / 60.0:.3g} min"
    return f"{hours / 24:.3g} d" if hours >= _DAYS_FROM_HOURS else f"{hours:.3g} h"


class Marks(msgspec.Struct, frozen=True):
    """Points [points] of one policy, joined by a line where there are several."""

    label: str
    x: Sequence[float]
    y: Sequence[float]  # shares of 1
    css: str


def scatter(marks: Sequence[Marks], unit: str) -> str:
    """Return the plot of shares, in percent, over figures of a unit."""
    xs, ys = [x for one in marks for x in one.x], [y for one in marks for y in one.y]
    left, right = min(xs) * 0.98, max(xs) * 1.02 or 1.0
    low = 1.0 - _GRID_LINES * _nice((1.0 - min(0.99, *ys)) / _GRID_LINES)
    place = [
        (one, [(_x((x - left) / (right - left)), _y((y - low) / (1.0 - low)))
               for x, y in zip(one.x, one.y, strict=True)])
        for one in marks
    ]  # fmt: skip
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>Share in time over {escape(unit)}'
        f"</title>{_scatter_grid(left, right, low, unit)}"
        f"{''.join(_marks(one, points) for one, points in place)}</svg>"
    )


def _marks(one: Marks, points: Sequence[tuple[float, float]]) -> str:
    dots = "".join(
        f'<circle class="{one.css}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points
    )
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    line = f'<polyline class="{one.css}" points="{joined}"/>' if len(points) > 1 else ""
    x, y = points[-1]
    turned = x > _x(_TURNED_FROM)
    css, x = ("y", x - 6.0) if turned else ("", x + 6.0)
    y += _BELOW if y < TOP + _BELOW else -_ABOVE
    return f'{line}{dots}<text x="{x:.1f}" y="{y:.1f}" class="{css}">{escape(one.label)}</text>'


def _scatter_grid(left: float, right: float, low: float, unit: str) -> str:
    parts = []
    for step in range(_GRID_LINES + 1):
        share = step / _GRID_LINES
        y = _y(share)
        percent, figure = 100.0 * (low + share * (1.0 - low)), left + share * (right - left)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" class="y">{percent:.3g} %</text>')
        words = f"{figure:.3g} {unit}" if step == _GRID_LINES // 2 else f"{figure:.3g}"
        parts.append(_below(share, words))
    return "".join(parts)
