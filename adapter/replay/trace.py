"""The trace: when requests came, read from a CSV file, as requests per step of one grid."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.errors import SettingsError

# A file is somebody else's: these bound what it can cost. 14 days at 1 s are 1.2 million steps.
MAX_BYTES = 1 << 30
MAX_ROWS = 20_000_000
MAX_STEPS = 4_000_000

# Pods and the HPA move in steps of 15 s; three steps in between keep their order true.
GRID_SECONDS = 5.0

TIMES = ("t", "time", "timestamp", "ts", "arrived_at")
COUNTS = ("requests_filled", "requests", "count", "value")
GAPS = ("gap",)
PROMPT = ("prompt_tokens", "contexttokens", "input_tokens")
OUTPUT = ("output_tokens", "generatedtokens")

# What a token costs, Llama2-70B on 8 H100 (Splitwise's measurements): 0.1 ms of prefill, 30 ms of
# decoding. Only the proportions between requests are taken from it.
PREFILL_SECONDS = 0.0001
DECODE_SECONDS = 0.03
_MOST_SHOWN = 40  # characters of a cell in an error

Rows = Iterable[tuple[int, list[str]]]  # the number of its line, its cells


class Trace(msgspec.Struct, frozen=True):
    """Requests by step of a regular grid that begins at 0.

    `arrivals` [steps] are requests; `known` [steps] is false where the trace has a gap: there
    `arrivals` are a guess that keeps the queue honest, and no policy sees a reading. `times`
    [requests] in seconds and `work` [requests], mean 1, are given for a trace of single requests.
    `absent_ratio` is the share of steps that are gaps because they have no row. `tokens` are a
    request's mean prompt and output, None where the trace does not tell.
    """

    name: str
    step_seconds: float
    arrivals: NDArray[np.float64]
    known: NDArray[np.bool_]
    times: NDArray[np.float64] | None = None
    work: NDArray[np.float64] | None = None
    absent_ratio: float = 0.0
    tokens: tuple[float, float] | None = None

    @property
    def seconds(self) -> float:
        return self.step_seconds * len(self.arrivals)

    @property
    def mean_rate(self) -> float:
        """Requests per second over the known steps."""
        return float(self.arrivals[self.known].mean()) / self.step_seconds

    def on_grid(self) -> Trace:
        """Return the trace with steps of at most `GRID_SECONDS`; a step is split evenly."""
        parts = math.ceil(self.step_seconds / GRID_SECONDS)
        if parts == 1:
            return self
        return msgspec.structs.replace(
            self,
            step_seconds=self.step_seconds / parts,
            arrivals=np.repeat(self.arrivals / parts, parts),
            known=np.repeat(self.known, parts),
        )


class Columns(msgspec.Struct, frozen=True):
    """Which columns to read; an empty name is found by the usual ones."""

    time: str = ""
    count: str = ""
    absent_is_zero: bool = False  # whether a missing row is a step without requests, or a gap


def load(path: Path, columns: Columns | None = None) -> Trace:
    """Return the trace of a CSV file, gzipped where its name ends in .gz; raise SettingsError.

    With a count column a row is a step, without one it is a request. Lines that begin with `#` are
    comments. Times are seconds or ISO 8601; a step is the usual distance of two rows.
    """
    try:
        with _opened(path) as stream:
            lines = _Lines(stream)
            rows = csv.reader(lines)
            head = next(rows, [])
            numbered = ((lines.number, row) for row in rows)
            return _read(path.name, head, numbered, columns or Columns())
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError([f"{path} cannot be read: {error}"]) from error


def _opened(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
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
    time = _column(head, columns.time, TIMES, "time")
    if time is None:
        raise SettingsError([f"{name} has no time column among {', '.join(head)}: name it"])
    count = _column(head, columns.count, COUNTS, "count")
    if count is None:
        prompt, output = _column(head, "", PROMPT, ""), _column(head, "", OUTPUT, "")
        return _of_requests(name, _table(name, rows, (time, prompt, output)))
    gap = _column(head, "", GAPS, "")
    return _of_steps(name, _table(name, rows, (time, count, gap)), columns)


def _column(head: Sequence[str], given: str, usual: Sequence[str], words: str) -> int | None:
    if given and given not in head:
        raise SettingsError([f"there is no {words} column {given}: use one of {', '.join(head)}"])
    folded = [cell.strip().lower() for cell in head]
    for name in (given.lower(),) if given else usual:
        if name in folded:
            return folded.index(name)
    return None


def _table(name: str, rows: Rows, wanted: Sequence[int | None]) -> NDArray[np.float64]:
    """Return the wanted columns [rows, columns] in the order of time; absent ones are NaN."""
    found = np.fromiter(_numbers(name, rows, wanted), dtype=(np.float64, len(wanted)))
    if not len(found):
        raise SettingsError([f"{name} has no rows below its head"])
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


def _of_requests(name: str, table: NDArray[np.float64]) -> Trace:
    times = table[:, 0] - math.floor(table[0, 0])
    steps = _checked(name, math.floor(times[-1]) + 1)
    arrivals = np.bincount(times.astype(np.int64), minlength=steps).astype(np.float64)
    cost = PREFILL_SECONDS * table[:, 1] + DECODE_SECONDS * table[:, 2]
    work = np.ones(len(times)) if np.isnan(cost).any() or not cost.sum() else cost / cost.mean()
    told = None if np.isnan(cost).any() else (float(table[:, 1].mean()), float(table[:, 2].mean()))
    return Trace(name, 1.0, arrivals, np.ones(steps, bool), times, work, tokens=told)


def _of_steps(name: str, table: NDArray[np.float64], columns: Columns) -> Trace:
    times, counts, gaps = table[:, 0] - table[0, 0], table[:, 1], table[:, 2]
    apart = np.diff(times)
    apart = apart[apart > 0]
    step = float(np.median(apart)) if len(apart) else 1.0
    places = np.rint(times / step).astype(np.int64)
    steps = _checked(name, int(places[-1]) + 1)
    bad = ~np.isfinite(counts) | (counts < 0)
    usable = np.where(bad, 0.0, counts)
    arrivals = np.bincount(places, usable, minlength=steps).astype(np.float64)
    known = np.bincount(places, minlength=steps) > 0
    known |= columns.absent_is_zero
    absent_ratio = 1.0 - float(known.mean())
    known[places[bad]] = False
    filled = np.isfinite(gaps) & (gaps > 0)
    guessed = known.copy()  # rows that carry a figure, also those marked as gaps
    known[places[filled]] = False
    if not known.any():
        raise SettingsError([f"{name} has no step with a usable count"])
    at = np.arange(steps)
    arrivals[~guessed] = np.interp(at[~guessed], at[guessed], arrivals[guessed])
    return Trace(name, step, arrivals, known, absent_ratio=absent_ratio)


def _checked(name: str, steps: int) -> int:
    if steps > MAX_STEPS:
        raise SettingsError([f"{name} spans {steps} steps: use at most {MAX_STEPS}"])
    return steps
