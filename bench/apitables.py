"""The tables of the API bench: what each cell means, and which figures stand side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from bench import table
from bench.backends import Backend
from bench.loadgen import Cell


class Way(StrEnum):
    """How a server is reached."""

    DIRECT = "direct"
    AGGREGATED = "through kube-apiserver"


class Urls(StrEnum):
    """What is asked: an adapter that keeps its last answers may repeat one of the same URL."""

    ANEW = "no two URLs alike"
    AGAIN = "one URL again and again"


class Key(msgspec.Struct, frozen=True):
    """One cell; `limited` is the test-adapter as it ships."""

    backend: Backend
    way: Way
    namespace: str
    urls: Urls = Urls.ANEW
    connections: int = 1
    limited: bool = False


Cells = Mapping[Key, Cell]
MANY = 16
_ANEW_WORDS = (
    "Every URL is another one, to every server, so forescale builds each answer anew; the metric's"
    " view of all pods alone is computed once a tick (0.5 s), for the first query of it. `again`:"
    " one URL only, so that all but the first query of a tick get the bytes of the one before."
)


def render(
    cells: Cells,
    sizes: Mapping[str, int],
    crowded: Mapping[str, int],
    *,
    idle_ratio: float,
    ran: str,
    machine: str,
) -> str:
    """Return all tables with what has to be known about them.

    `sizes` has the pods of each namespace, `crowded` those that were asked on many connections;
    `idle_ratio` is the share of a core that our adapter takes while nobody asks.
    """
    notes = (ran, f"Machine: {machine}.")
    tables = (
        _latencies(cells, sizes, notes),
        _rates(cells, crowded, notes),
        _costs(cells, crowded, idle_ratio, notes),
    )
    return "\n".join(tables)


def _latencies(cells: Cells, sizes: Mapping[str, int], notes: tuple[str, ...]) -> str:
    return table.markdown(
        "List query, p50 / p99 in ms",
        (
            "pods",
            "forescale",
            "forescale, again",
            "test-adapter",
            "static bytes",
            "forescale - static (p50)",
            "again - static (p50)",
            "test-adapter ÷ forescale (p50)",
        ),
        [
            _latency_row(cells, way, namespace, count)
            for way in Way
            for namespace, count in sizes.items()
        ],
        "One kept connection, TLS 1.3, bearer token, one request after the other; the test-adapter"
        " without its client limit. Static bytes are what the way itself costs.",
        _ANEW_WORDS,
        *notes,
    )


def _latency_row(cells: Cells, way: Way, namespace: str, count: int) -> tuple[str, ...]:
    ours = cells[Key(Backend.FORESCALE, way, namespace)]
    again = cells[Key(Backend.FORESCALE, way, namespace, Urls.AGAIN)]
    peer = cells[Key(Backend.PEER, way, namespace)]
    static = cells[Key(Backend.STATIC, way, namespace)]
    return (
        f"{count:,}, {way} ({ours.runs[0].bytes / 1024:.1f} KiB)",
        *map(_latency, (ours, again, peer, static)),
        f"{ours.p50_ms() - static.p50_ms():+.2f}",
        f"{again.p50_ms() - static.p50_ms():+.2f}",
        _times(peer.p50_ms() / ours.p50_ms()),
    )


def _rates(cells: Cells, crowded: Mapping[str, int], notes: tuple[str, ...]) -> str:
    return table.markdown(
        f"List queries per second on {MANY} connections",
        (
            "pods",
            "forescale",
            "forescale, again",
            "test-adapter as it ships",
            "test-adapter without its limit",
            "static bytes",
            "forescale ÷ as it ships",
            "forescale ÷ without its limit",
        ),
        [
            _rate_row(cells, way, namespace, count)
            for way in Way
            for namespace, count in crowded.items()
        ],
        "As it ships, the test-adapter's own client may ask the API server 5 times a second, and it"
        " asks for every query; asked directly only.",
        _ANEW_WORDS,
        *notes,
    )


def _rate_row(cells: Cells, way: Way, namespace: str, count: int) -> tuple[str, ...]:
    ours = _rate(cells, Key(Backend.FORESCALE, way, namespace, connections=MANY))
    again = _rate(cells, Key(Backend.FORESCALE, way, namespace, Urls.AGAIN, MANY))
    shipped = _rate(cells, Key(Backend.PEER, way, namespace, connections=MANY, limited=True))
    peer = _rate(cells, Key(Backend.PEER, way, namespace, connections=MANY))
    static = _rate(cells, Key(Backend.STATIC, way, namespace, connections=MANY))
    return (
        f"{count:,}, {way}",
        *map(table.figure, (ours, again, shipped, peer, static)),
        _times(ours / shipped),
        _times(ours / peer),
    )


def _rate(cells: Cells, key: Key) -> float:
    """Return the queries per second; NaN for a cell that is not measured."""
    return cells[key].per_second() if key in cells else math.nan


def _costs(
    cells: Cells, crowded: Mapping[str, int], idle_ratio: float, notes: tuple[str, ...]
) -> str:
    return table.markdown(
        f"Processor time of the server's process for an answer, in ms, on {MANY} connections",
        (
            "pods",
            "forescale",
            "forescale, again",
            "test-adapter",
            "static bytes",
            "test-adapter ÷ forescale",
        ),
        [
            _cost_row(cells, way, namespace, count)
            for way in Way
            for namespace, count in crowded.items()
        ],
        "The test-adapter without its client limit. What forescale takes to read the pods' streams"
        f" is in its figures: {100 * idle_ratio:.0f} % of a core while nobody asks.",
        _ANEW_WORDS,
        *notes,
    )


def _cost_row(cells: Cells, way: Way, namespace: str, count: int) -> tuple[str, ...]:
    ours = _cost(cells, Key(Backend.FORESCALE, way, namespace, connections=MANY))
    again = _cost(cells, Key(Backend.FORESCALE, way, namespace, Urls.AGAIN, MANY))
    peer = _cost(cells, Key(Backend.PEER, way, namespace, connections=MANY))
    static = _cost(cells, Key(Backend.STATIC, way, namespace, connections=MANY))
    figures = map(table.figure, (ours, again, peer, static))
    return f"{count:,}, {way}", *figures, _times(peer / ours)


def _cost(cells: Cells, key: Key) -> float:
    """Return the milliseconds; NaN for a cell that is not measured."""
    return cells[key].processor_ms() if key in cells else math.nan


def _latency(cell: Cell) -> str:
    return f"{table.figure(cell.p50_ms())} / {table.figure(cell.p99_ms())}"


def _times(ratio: float) -> str:
    """Return the ratio as `56x`; `-` where one of the two is not measured."""
    return "-" if math.isnan(ratio) else f"{table.figure(ratio)}x"
