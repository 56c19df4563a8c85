"""The search: which pages may be the model server's, and what to look for on each; pure."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar import engines, table
from sidecar.engines import AUTO
from sidecar.row import Row

LOOPBACK = "127.0.0.1"  # one pod, one network namespace

# Where engines are found that are not at their own default: TGI in its image, KServe's server and
# Triton's vLLM backend, a Dynamo worker. Any row's page may be there.
OTHER_PAGES = ((80, "/metrics"), (8080, "/metrics"), (8002, "/metrics"), (8081, "/metrics"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One page to look at: the rows to look for there, and what to say when it is not there."""

    url: str
    rows: tuple[Row, ...]
    hint: str


def named(row: Row, url: str | None) -> tuple[Candidate, ...]:
    """Return the one page of an engine that is named."""
    return (Candidate(url or _url(LOOPBACK, row.port, row.path), (row,), row.hint),)


def anywhere(host: str = LOOPBACK) -> tuple[Candidate, ...]:
    """Return every page at which some engine may be; its own rows are looked for first.

    On one port the longer paths stand first: a server that has one of them is not asked for
    another.
    """
    pages: dict[tuple[int, str], list[Row]] = {page: [] for page in OTHER_PAGES}
    for row in table.ROWS:
        pages.setdefault((row.port, row.path), []).append(row)
    ordered = sorted(pages.items(), key=lambda item: (item[0][0], -len(item[0][1])))
    return tuple(
        Candidate(
            _url(host, port, path),
            (*rows, *(row for row in table.ROWS if row not in rows)),
            " or ".join(dict.fromkeys(row.hint for row in rows)) or "is its page elsewhere?",
        )
        for (port, path), rows in ordered
    )


def at(url: str) -> tuple[Candidate, ...]:
    """Return the one page of an engine that its names will tell."""
    return (Candidate(url, engines.rows_of(AUTO), "is --engine-url its metrics page?"),)


def _url(host: str, port: int, path: str) -> str:
    return f"http://{host}:{port}{path}"
