"""Writes docs/settings.schema.json from the code, for editors and for checks of files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from adapter.explained import texts
from adapter.leaf import DURATION, Leaf, leaves

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.schema.json"

Schema = dict[str, object]

_DURATION = {
    "oneOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": f"^(?:{DURATION.pattern})$"},
    ]
}
_TYPES: dict[type, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: _DURATION,
    str: {"type": "string"},
}


def schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of the settings file."""
    root: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "forescale adapter settings",
        **_object(),
    }
    told = texts()
    for leaf in leaves():
        _place(root, leaf, told[".".join(leaf.path)])
    return root


def _object() -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _place(tree: Schema, leaf: Leaf, why: str) -> None:
    *sections, name = leaf.key.split(".")
    for section in sections:
        tree = _properties(tree).setdefault(section, _object())
    kind = _TYPES.get(leaf.type) or _entries(leaf.type)
    field = {**kind, "default": leaf.default, "description": why}
    _properties(tree)[name] = field


def _entries(kind: type) -> Schema:
    """Return the schema of a list or a mapping of mappings, in one piece."""
    (outer,), parts = msgspec.json.schema_components((kind,), ref_template="{name}")
    (entry,) = parts.values()
    return {**outer, "items" if outer["type"] == "array" else "additionalProperties": entry}


def _properties(tree: Schema) -> dict[str, Schema]:
    found = tree["properties"]
    assert isinstance(found, dict)
    return found


def text() -> str:
    """Return the file's content."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
    sys.stderr.write(f"wrote {PAGE.relative_to(ROOT)}\n")
