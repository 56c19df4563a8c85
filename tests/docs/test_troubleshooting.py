"""The texts that the troubleshooting page quotes are those that the programs say."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.docs import pages

PAGE = pages.DOCS / "troubleshooting.md"
GAP = "…"
# In the first column of a table: a text of ours, by its being in backticks.
CELL = re.compile(r"^\| (`+)(.+?)\1 \|", re.MULTILINE)


@cache
def said() -> str:
    """Return every text of both programs, one a line; what is filled in is a gap."""
    files = [*(pages.ROOT / "adapter").rglob("*.py"), *(pages.ROOT / "sidecar").rglob("*.py")]
    trees = (ast.parse(file.read_text()) for file in files)
    return "\n".join(words(node) for tree in trees for node in ast.walk(bare(tree)))


def bare(tree: ast.Module) -> ast.Module:
    """Return the tree without its docstrings, which nobody is told."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            held = (isinstance(one, ast.Expr) and words(one.value) for one in node.body)
            node.body = [one for one, told in zip(node.body, held, strict=True) if not told]
    return tree


def words(node: ast.AST) -> str:
    """Return the text of a string, a gap for each of its `{…}`; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return " ".join(node.value.split())
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
        return " ".join("".join(map(str, parts)).split())
    return ""


def is_said(quote: str) -> bool:
    """Return whether one text has the quote's words in its order, each gap filled with anything.

    A gap of the quote stands for words of the text; a gap of the text for words of the quote.
    """
    parts = [re.escape(part.strip()) for part in quote.strip().split(GAP)]
    return re.search("[^\n]*".join(parts), said()) is not None


def quoted() -> list[str]:
    """Return what the page quotes of us, in lines of its own and in tables."""
    cells = [cell.strip() for _, cell in CELL.findall(pages.text(PAGE))]
    return [*pages.quotes(PAGE), *(cell for cell in cells if " " in cell)]


def test_every_text_that_the_page_quotes_is_one_of_the_programs() -> None:
    found = quoted()
    assert len(found) > 30
    assert [quote for quote in found if not is_said(quote)] == []


def test_a_text_that_nobody_says_would_be_found() -> None:
    assert is_said("… is known for … of … pods, fewer than …: …")
    assert not is_said("… is known for … of … pods, less than …: …")
