"""The search: which pages may be the model server's, and what to look for on each; pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from sidecar import connections, engines, table
from sidecar.engines import AUTO
from sidecar.row import Ready, Row

LOOPBACK = "127.0.0.1"  # one pod, one network namespace

# Where engines are found that are not at their own default: TGI in its image, KServe's server and
# Triton's vLLM backend, a Dynamo worker. Any row's page may be there. Ollama, which has none, is
# looked for to be named.
OLLAMA = 11434
OTHER_PAGES = tuple((port, "/metrics") for port in (80, 8080, 8002, 8081, OLLAMA))
_HINTS = {OLLAMA: f"Ollama has no page; {connections.offer(OLLAMA)}"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One page to look at: the rows to look for there, and what to say when it is not there.

    `ready` are URLs of which one answers 200 where the server has its model, page or none. `own`
    are the rows whose place this is: another row is known there by the names of its queue alone.
    """

    url: str
    rows: tuple[Row, ...]
    hint: str
    ready: tuple[str, ...] = ()
    own: tuple[Row, ...] = ()


def named(row: Row, url: str | None) -> tuple[Candidate, ...]:
    """Return the one page of an engine that is named."""
    page = url or _url(LOOPBACK, row.port, row.path)
    return (Candidate(page, (row,), row.hint, _ready(page, row), (row,)),)


def anywhere(host: str = LOOPBACK) -> tuple[Candidate, ...]:
    """Return every page at which some engine may be; its own rows are looked for first.

    On one port the longer paths stand first: a server that has one of them is not asked for
    another.
    """
    pages: dict[tuple[int, str], list[Row]] = {page: [] for page in OTHER_PAGES}
    for row in table.ROWS:
        pages.setdefault((row.port, row.path), []).append(row)
    ordered = sorted(pages.items(), key=lambda item: (item[0][0], -len(item[0][1])))
    return tuple(_candidate(_url(host, *page), page[0], rows) for page, rows in ordered)


def _candidate(url: str, port: int, own: list[Row]) -> Candidate:
    hints = " or ".join(dict.fromkeys(row.hint for row in own))
    others = (row for row in table.ROWS if row not in own)
    apart = [row for row in own if isinstance(row.ready, Ready) and row.ready.port != port]
    ready = tuple(dict.fromkeys(one for row in apart for one in _ready(url, row)))
    hint = hints or _HINTS.get(port, "is its page elsewhere?")
    return Candidate(url, (*own, *others), hint, ready, tuple(own))


def _ready(page: str, row: Row) -> tuple[str, ...]:
    """Return where this engine says that it is ready: at its page's port, or at one of its own.

    A server with one port for both has moved with its page: what its usual port serves then is
    another one. It is asked without a bearer token, so over https not at all; nor where it is for
    probes alone: it may generate, or be another server's than the page's.
    """
    url = urlsplit(page)
    if not isinstance(row.ready, Ready) or row.ready.env or url.scheme != "http":
        return ()
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or LOOPBACK
    apart = (row.ready.port,) if row.ready.port != row.port else ()
    ports = dict.fromkeys((*apart, url.port or 80))
    return tuple(_url(host, port, row.ready.path) for port in ports)


def at(url: str) -> tuple[Candidate, ...]:
    """Return the one page of an engine that its names will tell."""
    rows = engines.rows_of(AUTO)
    return (Candidate(url, rows, "is --engine-url its metrics page?", own=rows),)


def _url(host: str, port: int, path: str) -> str:
    return f"http://{host}:{port}{path}"
