"""The tables of the API bench: what each cell means, and which figures stand side by side."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from bench import table
from bench.backends import Backend
from bench.loadgen import Cell


class Way(StrEnum):
    """How a server is asked."""

    DIRECT = "direct"
    AGGREGATED = "through kube-apiserver"
    ANEW = "direct, nothing answered twice"
    SHIPPED = "direct, as it ships"


class Key(msgspec.Struct, frozen=True):
    """One cell."""

    backend: Backend
    way: Way
    namespace: str
    connections: int = 1


Cells = Mapping[Key, Cell]
MANY = 16
_OURS = (Backend.FORESCALE, Way.DIRECT)
_ANEW = (Backend.FORESCALE, Way.ANEW)
_PEER = (Backend.PEER, Way.DIRECT)
_STATIC = (Backend.STATIC, Way.DIRECT)


def render(cells: Cells, sizes: Mapping[str, int], repetitions: int, machine: str) -> str:
    """Return the three tables with what has to be known about them."""
    ran = (
        f"{repetitions} repetitions in turn; p50 is the median of their medians, p99 that of all"
        f" requests together. {sum(sizes.values()):,} pods streamed to forescale all the while,"
        " from the same machine, as did the client."
    )
    notes = (ran, f"Machine: {machine}.")
    found = (
        _direct(cells, sizes, notes),
        _through(cells, sizes, notes),
        _many(cells, sizes, notes),
    )
    return "\n".join(found)


def _direct(cells: Cells, sizes: Mapping[str, int], notes: tuple[str, ...]) -> str:
    rows = []
    for namespace, count in sizes.items():
        ours, anew, peer, static = (
            cells[Key(backend, way, namespace)] for backend, way in (_OURS, _ANEW, _PEER, _STATIC)
        )
        rows.append(
            (
                _size(count, ours),
                *map(_latency, (ours, anew, peer, static)),
                _times(peer.p50_ms() / ours.p50_ms()),
                _times(peer.p50_ms() / anew.p50_ms()),
            )
        )
    return table.markdown(
        "List query, direct: p50 / p99 in ms",
        (
            "pods",
            "forescale",
            "forescale, anew",
            "test-adapter",
            "static bytes",
            "test-adapter ÷ forescale",
            "÷ anew",
        ),
        rows,
        "One kept connection, TLS 1.3, bearer token, one request after the other; the test-adapter"
        " without its client limit. `anew`: no two URLs alike, so each answer is built.",
        *notes,
    )


def _through(cells: Cells, sizes: Mapping[str, int], notes: tuple[str, ...]) -> str:
    rows = []
    for namespace, count in sizes.items():
        ours, peer, static = (
            cells[Key(backend, Way.AGGREGATED, namespace)]
            for backend in (Backend.FORESCALE, Backend.PEER, Backend.STATIC)
        )
        rows.append(
            (
                _size(count, ours),
                *map(_latency, (ours, peer, static)),
                f"{ours.p50_ms() - static.p50_ms():+.2f}",
                _times(peer.p50_ms() / ours.p50_ms()),
            )
        )
    return table.markdown(
        "List query through kube-apiserver: p50 / p99 in ms",
        (
            "pods",
            "forescale",
            "test-adapter",
            "static bytes",
            "forescale - static",
            "test-adapter ÷ forescale",
        ),
        rows,
        "As above, by way of the aggregator; static bytes are what the way itself costs.",
        *notes,
    )


def _many(cells: Cells, sizes: Mapping[str, int], notes: tuple[str, ...]) -> str:
    rows = []
    for namespace, count in sizes.items():
        ways = (*((b, w) for b, w in (_OURS, _ANEW, _PEER, _STATIC)), (Backend.PEER, Way.SHIPPED))
        ours, anew, peer, static, shipped = (
            cells[Key(backend, way, namespace, MANY)].per_second() for backend, way in ways
        )
        through = [
            cells[Key(backend, Way.AGGREGATED, namespace, MANY)].per_second()
            for backend in (Backend.FORESCALE, Backend.PEER, Backend.STATIC)
        ]
        rows.append(
            (
                f"{count:,}",
                *map(table.figure, (ours, anew, shipped, peer, static)),
                _times(ours / shipped),
                _times(ours / peer),
                " / ".join(map(table.figure, through)),
            )
        )
    return table.markdown(
        f"List queries per second on {MANY} connections",
        (
            "pods",
            "forescale",
            "forescale, anew",
            "test-adapter as it ships",
            "test-adapter without its limit",
            "static bytes",
            "forescale ÷ as it ships",
            "÷ without its limit",
            "through kube-apiserver: forescale / test-adapter / static",
        ),
        rows,
        "Direct unless it says otherwise. As it ships, the test-adapter's own client may ask the"
        " API server 5 times a second, and it asks for every query.",
        *notes,
    )


def _size(count: int, cell: Cell) -> str:
    return f"{count:,} ({cell.runs[0].bytes / 1024:.1f} KiB)"


def _latency(cell: Cell) -> str:
    return f"{table.figure(cell.p50_ms())} / {table.figure(cell.p99_ms())}"


def _times(ratio: float) -> str:
    return f"{table.figure(ratio)}x"
