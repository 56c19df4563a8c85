"""The plot: lines over time as inline SVG, without scripts, fonts or anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec
import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]

WIDTH, HEIGHT = 960, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 22
POINTS = 900  # about one a pixel
_GRID_LINES = 4
_DAYS_FROM_HOURS = 48
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


class Line(msgspec.Struct, frozen=True):
    """One series, [steps]; `css` is its class in the page's style."""

    label: str
    values: Figures
    css: str


def thinned(values: Figures, points: int = POINTS) -> Figures:
    """Return the values as the highest of each of at most `points` equal parts: peaks stay."""
    part = -(-len(values) // points)
    if part <= 1:
        return values
    padded = np.pad(values, (0, -len(values) % part), mode="edge")
    return np.asarray(padded.reshape(-1, part).max(axis=1))


def svg(lines: Sequence[Line], seconds: float, shaded: Figures | None = None) -> str:
    """Return the plot of series that span the same time; `shaded` [steps] of 0 to 1 is drawn as
    bars from below: the share of requests that were late."""
    top = _nice(max((float(line.values.max(initial=0.0)) for line in lines), default=1.0))
    parts = [_grid(top, seconds)]
    if shaded is not None:
        parts.append(_bars(thinned(shaded)))
    parts += [_polyline(line, top) for line in lines]
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
    points = " ".join(
        f"{_x(at / last):.1f},{_y(value / top):.1f}" for at, value in enumerate(values.tolist())
    )
    return f'<polyline class="{line.css}" points="{points}"/>'


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
        y, x = _y(share), _x(share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" class="y">{top * share:g}</text>')
        parts.append(f'<text x="{x}" y="{HEIGHT - 4}" class="x">{_when(seconds * share)}</text>')
    return "".join(parts)


def _when(seconds: float) -> str:
    hours = seconds / 3600.0
    return f"{hours / 24:.3g} d" if hours >= _DAYS_FROM_HOURS else f"{hours:.3g} h"
