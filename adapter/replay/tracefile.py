"""The trace file: a CSV that somebody else wrote, read as a trace within bounds."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np

from adapter import unread
from adapter.errors import SettingsError
from adapter.replay.trace import Figures, Trace, of_requests, of_steps

# A file is somebody else's: these bound what it can cost.
MAX_BYTES = 1 << 30
MAX_ROWS = 20_000_000

TIMES = ("t", "time", "timestamp", "ts", "arrived_at")
COUNTS = ("requests_filled", "requests", "count", "value")
RATES = ("requests_per_second", "rps", "qps", "rate")
GAPS = ("gap",)
PROMPT = ("prompt_tokens", "contexttokens", "input_tokens")
OUTPUT = ("output_tokens", "generatedtokens")

_GZIP = b"\x1f\x8b"
_SEPARATORS = ",;\t"
_MOST_SHOWN = 40  # characters of a cell in an error
# Unix times in ms, us and ns by their size: in seconds the first of them is the year 5138.
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))

Rows = Iterable[tuple[int, list[str]]]  # the number of its line, its cells


class Columns(msgspec.Struct, frozen=True):
    """Which columns to read; an empty name is found by the usual ones."""

    time: str = ""
    count: str = ""
    rate: str = ""
    absent_is_zero: bool = False  # whether a missing row is a step without requests, or a gap


class _Places(msgspec.Struct, frozen=True):
    """Where the columns stand in a row; without figures a row is a request."""

    time: int
    figures: int | None
    rates: bool
    others: tuple[int | None, int | None]  # gap and nothing, or tokens in and out


def load(path: Path, columns: Columns | None = None) -> Trace:
    """Return the trace of a CSV file, gzipped or not; raise SettingsError.

    With a column of counts or rates a row is a step, without one it is a request. Lines that begin
    with `#` are comments. Times are seconds, Unix milli-, micro- or nanoseconds, or ISO 8601; a
    step is the usual distance of two rows.
    """
    try:
        with _opened(path) as stream:
            lines = _Lines(stream)
            first = next(iter(lines), "")
            separator = max(_SEPARATORS, key=first.count)
            rows = csv.reader(chain((first,), lines), delimiter=separator)
            head = [cell.strip() for cell in next(rows, [])]
            numbered = ((lines.number, row) for row in rows)
            return _read(path.name, head, numbered, columns or Columns())
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError([f"{path} cannot be read: {unread.why(error)}"]) from error


def _opened(path: Path) -> io.TextIOBase:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    if packed:
        return io.TextIOWrapper(io.BufferedReader(_Capped(gzip.open(path, "rb"))), "utf-8-sig")
    if path.stat().st_size > MAX_BYTES:
        raise OSError(f"it is larger than {MAX_BYTES} bytes")
    return path.open(encoding="utf-8-sig", newline="")


class _Lines:
    """The lines that are no comments; `number` is the last one's in the file, from 1."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.number += 1
            if not line.startswith("#"):
                yield line


class _Capped(io.RawIOBase):
    """Bytes of a stream up to `MAX_BYTES`: a small gzip file can hold terabytes."""

    def __init__(self, inner: gzip.GzipFile) -> None:
        self._inner = inner
        self._left = MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        got = self._inner.read(len(buffer))
        self._left -= len(got)
        if self._left < 0:
            raise OSError(f"it holds more than {MAX_BYTES} bytes")
        buffer[: len(got)] = got
        return len(got)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _read(name: str, head: Sequence[str], rows: Rows, columns: Columns) -> Trace:
    at = _places(name, head, columns)
    table = _table(name, rows, (at.time, at.figures, *at.others))
    times, figures, first, second = table.T
    if at.figures is None:
        return of_requests(name, times, first, second)
    return of_steps(
        name, times, figures, first, rates=at.rates, absent_is_zero=columns.absent_is_zero
    )


def _places(name: str, head: Sequence[str], columns: Columns) -> _Places:
    """Return where the columns stand; raise SettingsError with all that are not there."""
    if not any(head):
        raise SettingsError([f"{name} is empty: its first line names the columns, as t,requests"])
    if all(_is_figure(cell) for cell in head):
        words = "has figures and no names: put t,requests above it, or t where a row is a request"
        raise SettingsError([f"{name}: the first line {words}"])
    given = (
        ("--time-column", columns.time),
        ("--column", columns.count),
        ("--rate-column", columns.rate),
    )
    there = ", ".join(head)
    problems = [
        f"{option} {wanted}: {name} has no such column, it has {there}"
        for option, wanted in given
        if wanted and wanted not in head
    ]
    if columns.count and columns.rate:
        problems.append("--column and --rate-column: name one, requests or requests per second")
    time = _column(head, columns.time, TIMES)
    if time is None and not columns.time:
        problems.append(f"{name} has no column {' or '.join(TIMES)}: name one of {there} with")
        problems[-1] += " --time-column"
    if problems or time is None:
        raise SettingsError(problems)
    return _of_columns(head, columns, time)


def _of_columns(head: Sequence[str], columns: Columns, time: int) -> _Places:
    count = None if columns.rate else _column(head, columns.count, COUNTS)
    rate = None if count is not None else _column(head, columns.rate, RATES)
    if count is None and rate is None:
        tokens = _column(head, "", PROMPT), _column(head, "", OUTPUT)
        return _Places(time, None, rates=False, others=tokens)
    figures = rate if count is None else count
    return _Places(time, figures, rates=count is None, others=(_column(head, "", GAPS), None))


def _column(head: Sequence[str], given: str, usual: Sequence[str]) -> int | None:
    if given:
        return head.index(given) if given in head else None
    folded = [cell.lower() for cell in head]
    return next((folded.index(name) for name in usual if name in folded), None)


def _is_figure(cell: str) -> bool:
    try:
        return math.isfinite(_seconds(cell))
    except ValueError:
        return False


def _table(name: str, rows: Rows, wanted: Sequence[int | None]) -> Figures:
    """Return the wanted columns [rows, columns] in the order of time; absent ones are NaN."""
    found = np.fromiter(_numbers(name, rows, wanted), dtype=(np.float64, len(wanted)))
    if not len(found):
        raise SettingsError([f"{name} has no rows below its head"])
    latest = np.abs(found[:, 0]).max()
    found[:, 0] /= next((parts for least, parts in _UNITS if latest >= least), 1.0)
    return found[np.argsort(found[:, 0], kind="stable")]


def _numbers(name: str, rows: Rows, wanted: Sequence[int | None]) -> Iterator[tuple[float, ...]]:
    first, *others = wanted
    for count, (line, row) in enumerate(rows):
        if count >= MAX_ROWS:
            raise SettingsError([f"{name} has more than {MAX_ROWS} rows: cut it, or count by step"])
        if not row:
            continue
        try:
            cells = [math.nan if at is None else _figure(row[at]) for at in others]
            yield (_seconds(row[first or 0]), *cells)
        except ValueError as error:
            raise SettingsError([f"{name} line {line}: {error}"]) from error
        except IndexError as error:
            words = f"has {len(row)} cells, fewer than its head: add commas"
            raise SettingsError([f"{name} line {line} {words}"]) from error


def _figure(cell: str) -> float:
    """Return the figure of a cell, NaN where it is blank: nothing is known then."""
    text = cell.strip()
    try:
        value = float(text) if text else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value):
        words = "is no number: write one, or leave the cell blank for a gap"
        raise ValueError(f"`{text[:_MOST_SHOWN]}` {words}")
    return value


def _seconds(cell: str) -> float:
    """Return the seconds of a figure or of an ISO 8601 time; a time without a zone is UTC."""
    try:
        value = float(cell)
    except ValueError:
        value = _instant(cell)
    if not math.isfinite(value):
        raise ValueError(f"`{cell[:_MOST_SHOWN]}` is no time: write seconds or ISO 8601")
    return value


def _instant(cell: str) -> float:
    try:
        at = datetime.fromisoformat(cell.strip())
    except ValueError:
        return math.nan
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
