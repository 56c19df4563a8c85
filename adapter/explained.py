"""The explained: what each setting is for, as settings.py says it under the field."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping

from adapter import settings


def texts() -> dict[str, str]:
    """Return the text under each field by its dotted path in Python's spelling.

    Empty where the package is installed without its source.
    """
    try:
        tree = ast.parse(inspect.getsource(settings))
    except OSError:
        return {}
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return dict(_texts(classes[settings.Settings.__name__], classes, ()))


def _texts(
    node: ast.ClassDef, classes: Mapping[str, ast.ClassDef], path: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for number, statement in enumerate(node.body):
        if not isinstance(statement, ast.AnnAssign):
            continue
        here = (*path, ast.unparse(statement.target))
        section = ast.unparse(statement.annotation)
        if section in classes:
            yield from _texts(classes[section], classes, here)
        else:
            following = node.body[number + 1]
            assert isinstance(following, ast.Expr)  # noqa: S101 - a test holds it for every field
            yield ".".join(here), " ".join(str(ast.literal_eval(following.value)).split())
