"""Every route, error and event of the programs is on the page, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapter import errors
from adapter.api import custom, external, resource
from sidecar import serve
from tests.docs import pages

PAGE = pages.text(pages.DOCS / "http.md")
EVENT = re.compile(r'"((?:APIService|Annotation|Forecast)[A-Z]\w+)"')


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, its head left out."""
    section = PAGE.partition(f"\n## {heading}")[2].partition("\n## ")[0].replace("\\|", "!")
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def told(heading: str) -> set[str]:
    """Return what stands in backticks in the first column under a heading."""
    return {
        one.replace("!", "|") for row in rows(heading) for one in re.findall(r"`(.+?)`", row[0])
    }


def test_every_route_of_a_metric_is_on_the_page() -> None:
    paths = (custom.PATH, custom.NAMESPACE_PATH, external.PATH, *resource.PATHS.values())
    bare = {re.sub(r"\{version:([^}]*)\}", r"{\1}", path) for path in paths}
    served = {path.removesuffix("{slash:/?}") for path in bare}
    asked = {path for path in told("The adapter's API") if "/namespaces/" in path or "/v1" in path}
    assert asked == served


def test_every_route_of_the_ops_port_is_on_the_page() -> None:
    found = {"/status/NAME"}  # the files of the page
    for file in (pages.ROOT / "adapter" / "ops").glob("*.py"):
        found |= set(re.findall(r'(?:path = |add_get\()"(/[^"]+)"', file.read_text()))
    assert told("The adapter's ops port") == found


def test_every_route_of_the_sidecar_is_on_the_page() -> None:
    assert told("The sidecar's port") == set(serve.PATHS)


def test_every_error_of_a_query_is_on_the_page() -> None:
    raised = {(str(one.code), one.reason) for one in leaves(errors.AnswerError)}
    shown = {(row[0], row[1].strip("`")) for row in rows("Errors of the API")}
    assert shown == {*raised, ("500", "InternalError")}


def leaves(of: type[errors.AnswerError]) -> Iterator[type[errors.AnswerError]]:
    for one in of.__subclasses__():
        yield one
        yield from leaves(one)


def test_every_event_is_on_the_page() -> None:
    files = (pages.ROOT / "adapter" / "intake").glob("*.py")
    assert told("Events") == {name for file in files for name in EVENT.findall(file.read_text())}
