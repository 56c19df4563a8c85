"""The pages: which metrics pages of a pod the adapter is to scrape, by the pod's annotation.

`forescale.dev/scrape: "vllm:8000"`, in full `engine[:port][/path]`, several with commas between.
The host is never part of it: a page is only ever looked for at the pod's own address.
"""

from __future__ import annotations

import re

from adapter.errors import IntakeError
from adapter.intake import dcgm
from adapter.model.fleet import MetricsPage
from sidecar import engines

ANNOTATION = "forescale.dev/scrape"
MAX_PAGES = 4  # model servers side by side in one pod; each is a request per period
MAX_CHARACTERS = 512
HIGHEST_PORT = 65535

# No `@`, `%`, `?`, `#` or `\\`: nothing that could make a URL point elsewhere than it reads.
_PAGE = re.compile(
    r"(?P<engine>[a-z0-9][a-z0-9_.-]{0,62})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[A-Za-z0-9_.~/-]{0,200})?"
)


def pages(annotation: str | None) -> tuple[MetricsPage, ...]:
    """Return the pages of the annotation; raise IntakeError that says what to write instead."""
    if not annotation:
        raise IntakeError(f"the pod has no annotation {ANNOTATION}: write for example vllm:8000")
    parts = [part.strip() for part in annotation[:MAX_CHARACTERS].split(",")]
    if len(parts) > MAX_PAGES or len(annotation) > MAX_CHARACTERS:
        raise IntakeError(f"{ANNOTATION} names more than {MAX_PAGES} pages: keep to {MAX_PAGES}")
    return tuple(_page(part) for part in parts)


def exporter(annotation: str | None) -> MetricsPage:
    """Return where a node source that is no agent of ours has its page: a DCGM exporter's.

    Without the annotation it is where exporters have it; raises IntakeError as `pages` does.
    """
    match = _matched((annotation or dcgm.KIND).strip()[:MAX_CHARACTERS])
    if match["engine"] != dcgm.KIND:
        raise IntakeError(f"{ANNOTATION} of a node source is {dcgm.KIND}[:port][/path]")
    return MetricsPage(dcgm.KIND, _port(match, dcgm.PORT), match["path"] or dcgm.PATH)


def _page(text: str) -> MetricsPage:
    match = _matched(text)
    rows = engines.rows_of(match["engine"])
    if not rows:
        known = ", ".join(row.kind for row in engines.rows_of(engines.AUTO))
        raise IntakeError(
            f"{ANNOTATION} names the engine {match['engine']}: use {known}, or auto with a port"
        )
    if match["engine"] == engines.AUTO and not match["port"]:
        raise IntakeError(f"{ANNOTATION} says auto without a port: write for example auto:8000")
    port = _port(match, rows[0].port)
    return MetricsPage(match["engine"], port, match["path"] or rows[0].path)


def _matched(text: str) -> re.Match[str]:
    match = _PAGE.fullmatch(text)
    if match is None or ".." in text or "." in text.split("/"):
        shown = text[:60].encode("unicode_escape").decode("ascii")
        raise IntakeError(
            f"{ANNOTATION} says `{shown}`: write engine[:port][/path], such as vllm:8000/metrics"
        )
    return match


def _port(match: re.Match[str], usual: int) -> int:
    port = int(match["port"] or usual)
    if not 0 < port <= HIGHEST_PORT:
        raise IntakeError(f"{ANNOTATION} has the port {port}: use 1 to {HIGHEST_PORT}")
    return port
