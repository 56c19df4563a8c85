"""The pages of the documentation as the tests read them: blocks, quotes, commands, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PROGRAMS = ("forescale", "forescale-sidecar", "kubectl forescale")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """Return every page that a user reads, the README of the repository included."""
    return [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


@cache
def text(page: Path) -> str:
    return page.read_text()


def blocks(page: Path, language: str | None = None) -> list[str]:
    """Return the fenced blocks of a page, of one language where it is given."""
    found = _FENCE.findall(text(page))
    return [body for named, body in found if language is None or named == language]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text(page))


def spans(page: Path) -> list[str]:
    """Return what stands in backticks in the prose, on one line each."""
    return [" ".join(found.split()) for found in _SPAN.findall(prose(page))]


def lines(page: Path) -> Iterator[str]:
    """Yield what a page shows to be typed: lines of blocks without comments, and spans."""
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.strip().removeprefix("$ ").split(" #")[0].strip()
    yield from spans(page)


def commands(page: Path) -> Iterator[str]:
    """Yield the command lines of our programs that a page shows."""
    for line in lines(page):
        if line.startswith(tuple(f"{program} " for program in PROGRAMS)):
            yield line


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made of the words."""
    words = (heading.replace("`", "").lower() for heading in _HEADING.findall(text(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in words}


def quotes(page: Path) -> list[str]:
    """Return the quoted texts of a page (`> …`), each on one line."""
    found, lines_of_one = [], list[str]()
    for line in [*prose(page).splitlines(), ""]:
        if line.startswith("> "):
            lines_of_one.append(line.removeprefix("> "))
        elif lines_of_one:
            found.append(" ".join(lines_of_one))
            lines_of_one = []
    return found
