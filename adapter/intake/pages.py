"""The pages: which metrics pages of a pod its annotation asks the adapter to scrape.

`forescale.dev/scrape: "vllm:8000"`, in full `engine[:port][/path]`, several with commas between.
The host is never part of it: a page is only ever looked for at the pod's own address.
"""

from __future__ import annotations

import re

from adapter.errors import IntakeError
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


def _page(text: str) -> MetricsPage:
    match = _PAGE.fullmatch(text)
    if match is None or ".." in text or "." in text.split("/"):
        shown = text[:60].encode("unicode_escape").decode("ascii")
        raise IntakeError(
            f"{ANNOTATION} says `{shown}`: write engine[:port][/path], such as vllm:8000/metrics"
        )
    rows = engines.rows_of(match["engine"])
    if not rows:
        known = ", ".join(row.kind for row in engines.rows_of(engines.AUTO))
        raise IntakeError(
            f"{ANNOTATION} names the engine {match['engine']}: use {known}, or auto with a port"
        )
    if match["engine"] == engines.AUTO and not match["port"]:
        raise IntakeError(f"{ANNOTATION} says auto without a port: write for example auto:8000")
    port = int(match["port"] or rows[0].port)
    if not 0 < port <= HIGHEST_PORT:
        raise IntakeError(f"{ANNOTATION} has the port {port}: use 1 to {HIGHEST_PORT}")
    return MetricsPage(match["engine"], port, match["path"] or rows[0].path)
