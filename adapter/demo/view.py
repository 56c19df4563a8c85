"""The view: what the demo shows, as lines of text; pure, so that a test can read them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import msgspec

WIDTH = 100
LINES = 30
BARS = "▁▂▃▄▅▆▇█"
HISTORY_COLUMNS = 60
# With the heading, the bar and the commands (the last of two lines) that makes LINES.
ROWS = 8
WORDS = 6


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One pod; a figure is None where the adapter serves none for it."""

    name: str
    state: str
    serving: bool
    gpu_percent: float | None = None
    pending: float | None = None
    running: float | None = None
    age_seconds: float | None = None


class Scene(msgspec.Struct, frozen=True):
    """Everything that one picture shows."""

    elapsed_seconds: float
    total_seconds: float
    trace: str
    speed: float
    rate: float
    served: int
    failed: int
    rows: Sequence[Row]
    autoscaler: str
    arithmetic: Sequence[str]
    replicas: int
    max_replicas: int
    history: Sequence[int]
    age_p99_seconds: float | None
    curl: str
    page: str
    commands: Sequence[str]


class Paint:
    """Puts colour around words, or leaves them as they are."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def bold(self, text: str) -> str:
        return self._wrap("1", text)

    def dim(self, text: str) -> str:
        return self._wrap("2", text)

    def green(self, text: str) -> str:
        return self._wrap("32", text)

    def yellow(self, text: str) -> str:
        return self._wrap("33", text)

    def red(self, text: str) -> str:
        return self._wrap("31", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def picture(scene: Scene, paint: Paint) -> list[str]:
    """Return the lines; each fits 100 columns, but for the command to copy."""
    rows = [_row(row, paint) for row in scene.rows[:ROWS]]
    more = len(scene.rows) - len(rows)
    return [
        f"Watch it in a browser: {scene.page}",
        paint.bold(_head(scene)),
        _cut(_load(scene)),
        "",
        paint.dim(f"{'POD':42} {'STATE':24} {'GPU %':>5} {'PENDING':>7} {'RUNNING':>7} {'AGE':>6}"),
        *rows,
        *([f"and {more} more"] if more > 0 else []),
        "",
        paint.bold(_cut(scene.autoscaler)),
        *_arithmetic(scene.arithmetic),
        "",
        _replicas(scene, paint),
        "",
        "Ask it yourself, while this runs:",
        *scene.commands,
        scene.curl,
    ]


def plain(scene: Scene) -> str:
    """Return one line for a log."""
    ready = sum(row.serving for row in scene.rows)
    figures = [
        f"{_clock(scene.elapsed_seconds)}",
        f"load {scene.rate:.1f}/s",
        f"replicas {scene.replicas} ({ready} ready)",
        f"pending {_sum(row.pending for row in scene.rows)}",
        f"running {_sum(row.running for row in scene.rows)}",
    ]
    return "  ".join(figures)


def _arithmetic(sentences: Sequence[str]) -> list[str]:
    lines = []
    for sentence in sentences:
        lines += textwrap.wrap(
            sentence, WIDTH, initial_indent="  ", subsequent_indent="      ", max_lines=2
        )
    return lines[:WORDS]


def _head(scene: Scene) -> str:
    clock = f"{_clock(scene.elapsed_seconds)} of {_clock(scene.total_seconds)}"
    return f"forescale demo  {clock}  {scene.trace}, {scene.speed:g} x its speed  Ctrl-C ends it"


def _load(scene: Scene) -> str:
    failed = f", {scene.failed} failed" if scene.failed else ""
    age = scene.age_p99_seconds
    told = "" if age is None else f"   queue's age when answered: p99 {age:.1f} s"
    return f"load {scene.rate:5.1f} requests/s   {scene.served} served{failed}{told}"


def _row(row: Row, paint: Paint) -> str:
    age = "-" if row.age_seconds is None else f"<{row.age_seconds:.1f} s"
    figures = f"{_figure(row.gpu_percent):>5} {_figure(row.pending):>7} {_figure(row.running):>7}"
    line = f"{row.name[:42]:42} {row.state[:24]:24} {figures} {age:>6}"
    return paint.green(line) if row.serving else paint.yellow(line)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _sum(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known):.0f}" if known else "-"


def _replicas(scene: Scene, paint: Paint) -> str:
    shown = scene.history[-HISTORY_COLUMNS:]
    bars = "".join(BARS[_level(count, scene.max_replicas)] for count in shown)
    return f"replicas {scene.replicas:3} of {scene.max_replicas}  {paint.green(bars)}"


def _level(count: int, most: int) -> int:
    return min(len(BARS) - 1, max(0, round(count / max(most, 1) * len(BARS)) - 1))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
