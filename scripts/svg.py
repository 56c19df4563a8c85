"""The SVG: one panel with two axes, lines, dots, bands and words, for the pictures of the docs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

INK, FAINT, GRID, BAND = "#24292f", "#57606a", "#d8dee4", "#fff1d6"
Point = tuple[float, float]


class Panel:
    """A rectangle of the picture, in pixels, that shows x and y from `low` to `high`."""

    def __init__(self, box: tuple[float, float, float, float], low: Point, high: Point) -> None:
        self._left, self._top, self._width, self._height = box
        self._low, self._high = low, high
        self.parts: list[str] = []

    def at(self, point: Point) -> Point:
        """Return where a point is, in pixels."""
        x, y = (
            (value - low) / (high - low)
            for value, low, high in zip(point, self._low, self._high, strict=True)
        )
        return self._left + x * self._width, self._top + (1 - y) * self._height

    def axes(
        self, x_ticks: dict[float, str], x_label: str, y_ticks: Sequence[int], y_label: str
    ) -> None:
        """Draw the grid with its figures, and what they are of."""
        bottom, right = self._top + self._height, self._left + self._width
        for value in y_ticks:
            _, y = self.at((self._low[0], value))
            self._line((self._left, y), (right, y), GRID)
            self.words((self._left - 6, y + 4), f"{value}", FAINT, "end")
        for value, text in x_ticks.items():
            x, _ = self.at((value, self._low[1]))
            self._line((x, bottom), (x, bottom + 4), FAINT)
            self.words((x, bottom + 18), text, FAINT, "middle")
        self.words((self._left + self._width / 2, bottom + 36), x_label, FAINT, "middle")
        self.words((self._left - 30, self._top - 12), y_label, FAINT, "start")

    def band(self, start: float, end: float, words: str) -> None:
        """Shade all between two values of x."""
        (left, top), (right, bottom) = (
            self.at((start, self._high[1])),
            self.at((end, self._low[1])),
        )
        self.block((left, top), right - left, bottom - top, BAND)
        self.words(((left + right) / 2, top + 16), words, FAINT, "middle")

    def line(self, points: Sequence[Point], colour: str, dash: str = "") -> None:
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, points))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'
        )

    def dot(self, point: Point, colour: str) -> None:
        x, y = self.at(point)
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')

    def bar(self, point: Point, width: float, colour: str) -> None:
        """Draw a bar from below up to the point, so wide in units of x."""
        (left, top), (right, bottom) = (
            self.at(one)
            for one in (
                (point[0] - width / 2, point[1]),
                (point[0] + width / 2, self._low[1]),
            )
        )
        self.block((left, top), right - left, bottom - top, colour)

    def block(self, place: Point, width: float, height: float, colour: str) -> None:
        """Draw a filled rectangle at a place in pixels."""
        x, y = place
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
            f' fill="{colour}"/>'
        )

    def words(self, place: Point, text: str, colour: str = INK, anchor: str = "start") -> None:
        """Write at a place in pixels."""
        x, y = place
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def key(self, place: Point, text: str, colour: str, dash: str = "") -> None:
        """Say beside a piece of a line, at a place in pixels, what it is."""
        x, y = place
        self._line((x, y - 4), (x + 26, y - 4), colour, dash)
        self.words((x + 34, y), text)

    def _line(self, start: Point, end: Point, colour: str, dash: str = "") -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        width = 1 if colour in (GRID, FAINT) else 2
        self.parts.append(
            f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
            f' stroke="{colour}" stroke-width="{width}"{dashed}/>'
        )


def steps(points: Sequence[Point], end: float) -> list[Point]:
    """Return the line that stays at each value until the next one, and at the last until `end`."""
    after = [*points[1:], (end, points[-1][1])]
    return [
        one
        for (x, y), (until, _) in zip(points, after, strict=True)
        for one in ((x, y), (until, y))
    ]


def picture(width: int, height: int, title: str, panels: Sequence[Panel]) -> str:
    """Return the file; it is white, so that it can be read on a dark page, too."""
    drawn = "\n".join(part for panel in panels for part in panel.parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" font-family="system-ui, sans-serif" font-size="13">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n{drawn}\n</svg>\n'
    )
