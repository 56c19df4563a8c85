"""The leaf: one field of the settings tree, its three spellings and what may stand in each."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import structs

from adapter import unread
from adapter.settings import LISTED, Settings

_Shape = TypeVar("_Shape")

ENV_PREFIX = "FORESCALE_ADAPTER_"
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SWITCH = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


class Leaf(msgspec.Struct, frozen=True):
    """One field of the tree: its path in Python's spelling, its type and its default."""

    path: tuple[str, ...]
    type: type
    default: object

    @property
    def key(self) -> str:
        return ".".join(camel(name) for name in self.path)

    @property
    def flag(self) -> str:
        return "--" + "-".join(self.path).replace("_", "-")

    @property
    def shape(self) -> str:
        """What the help says that a flag takes."""
        plain = self.type in (bool, int, float, str)
        return self.type.__name__.upper() if plain else "YAML"

    @property
    def variable(self) -> str:
        return ENV_PREFIX + "_".join(self.path).upper()

    def of(self, settings: Settings) -> object:
        """Return the field's value in the settings."""
        return functools.reduce(getattr, self.path, settings)

    def parse(self, raw: object) -> object:
        """Return the value of one spelling; raise ValueError that says what is expected."""
        if self.type is bool:
            return _parse_bool(raw)
        if self.type is float:
            return _parse_seconds(raw)
        if self.type is int:
            return _parse_int(raw)
        if self.type is not str:
            return _parse_entries(raw, self.type)
        return _parse_text(raw, listed=self.key in LISTED)


def leaves(tree: type[msgspec.Struct] = Settings, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Yield every field of the settings tree."""
    hints = get_type_hints(tree)
    for field in structs.fields(tree):
        made, here = field.default_factory, (*path, field.name)
        default = field.default if made is msgspec.NODEFAULT else made()
        if isinstance(default, msgspec.Struct):
            yield from leaves(hints[field.name], here)
        else:
            yield Leaf(here, hints[field.name], default)


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _parse_bool(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _SWITCH:
        return _SWITCH[raw.lower()]
    raise ValueError(f"`{raw}` is neither true nor false")


def _parse_int(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and re.fullmatch(r"-?\d{1,9}", raw):
        return int(raw)
    raise ValueError(f"`{raw}` is no whole number")


def _parse_text(raw: object, *, listed: bool) -> str:
    if isinstance(raw, str):
        return raw
    if listed and isinstance(raw, list):
        raise ValueError(f'is a list: write one text, "{", ".join(map(str, raw))}"')
    raise ValueError(f"`{raw}` is no text: put it in quotes")


def _parse_entries(raw: object, kind: type) -> object:
    """Return a list or a mapping of mappings, as the file has it; a flag spells it in YAML.

    Raises ValueError with a line for each entry that cannot be used.
    """
    listed = get_origin(kind) is tuple
    entry = get_args(kind)[0 if listed else 1]
    found = dict(enumerate(_loaded(raw, list[Any]))) if listed else _loaded(raw, dict[Any, Any])
    parsed, wrong = {}, []
    for key, one in found.items():
        if not listed and not isinstance(key, str):
            wrong.append(f"`{key}` is no text: put it in quotes")
            continue
        try:
            parsed[key] = msgspec.convert(one, entry)
        except msgspec.ValidationError as error:
            wrong.append(unread.shape(error, f"[{key}]" if listed else f".{key}"))
    if wrong:
        raise ValueError("\n".join(wrong))
    return tuple(parsed.values()) if listed else parsed


def _loaded(raw: object, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(yaml.safe_load(raw) if isinstance(raw, str) else raw, shape)
    except yaml.YAMLError as error:
        raise ValueError(unread.why(error)) from error
    except msgspec.ValidationError as error:
        raise ValueError(unread.shape(error)) from error


def _parse_seconds(raw: object) -> float:
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
        return float(raw)
    match = DURATION.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError(f"`{raw}` is no duration: write 15s, 500ms, 2m or a number of seconds")
    return float(match[1]) * _SECONDS[match[2]]
