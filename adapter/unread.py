"""The unread: why a file or what stands in it could not be used, in words without a library's."""

from __future__ import annotations

import errno
import re

import msgspec
import yaml

# What msgspec calls a shape, and what a person who writes YAML calls it.
_SHAPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_SHAPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_LACKS = re.compile(r"Object missing required field `([^`]+)`")
_ODD = re.compile(r"Object contains unknown field `([^`]+)`")
_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_FILES = {
    errno.ENOENT: "there is no such file",
    errno.EACCES: "you may not read it",
    errno.EISDIR: "it is a directory",
}


def why(error: Exception) -> str:
    """Return why a file could not be read, or its text not be understood; one line."""
    if isinstance(error, OSError):
        return _FILES.get(error.errno or 0, error.strerror or str(error))
    if isinstance(error, UnicodeDecodeError):
        return f"it is no text in UTF-8 (byte {error.start})"
    if isinstance(error, msgspec.ValidationError):
        return shape(error)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"it is no YAML: line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


def shape(error: msgspec.ValidationError, path: str = "") -> str:
    """Return what is wrong with a value, after its path below `path`."""
    text = str(error)
    at = _AT.search(text)
    said = text[: at.start()] if at else text
    where = _joined(path, at[1] if at else "")
    if found := _LACKS.fullmatch(said):
        return f"{_joined(where, found[1])} is missing"
    if found := _ODD.fullmatch(said):
        return f"{_joined(where, found[1])} is none of the keys there: leave it out"
    if found := _SHAPE.fullmatch(said):
        wanted, got = (_shapes(one) for one in found.groups())
        return f"{where or 'it'} is {got}: write {wanted}"
    return f"{where}: {said}" if where else said


def _joined(path: str, name: str) -> str:
    return f"{path}{'' if not path or not name or name.startswith('[') else '.'}{name}"


def _shapes(text: str) -> str:
    return " or ".join(_SHAPES.get(one.strip(), one.strip()) for one in text.split("|"))
