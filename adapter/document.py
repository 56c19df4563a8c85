"""The document: a YAML file of settings as a mapping, with every key that stands in it twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from adapter import unread


def read(path: Path, called: str, found: list[str]) -> Mapping[Any, Any]:
    """Return the file's mapping, empty where it is none; problems are added to `found`.

    `called` is what the user calls the file. YAML itself takes the last of two keys silently.
    """
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        try:
            root = loader.get_single_node()
            doubled = list(_doubled(root, "", set()))  # before merge keys are resolved in place
            tree = {} if root is None else loader.construct_document(root) or {}
        finally:
            loader.dispose()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found.append(f"{called} cannot be read: {unread.why(error)}")
        return {}
    if not isinstance(tree, dict):
        found.append(f"{called}: the file must be a mapping of settings, KEY: VALUE")
        return {}
    found += (f"{path}: {words}" for words in doubled)
    return tree


def _doubled(node: yaml.Node | None, path: str, seen: set[int]) -> Iterator[str]:
    """Yield in words each key that a mapping has twice; an alias is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, one in enumerate(node.value):
            yield from _doubled(one, f"{path}[{number}]", seen)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        here = f"{path}.{name}" if path else name
        if name in lines:
            yield f"{here} is in lines {lines[name]} and {line}: keep one of them"
        lines.setdefault(name, line)
        yield from _doubled(value, here, seen)
