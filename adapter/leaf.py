"""The leaf: one field of the settings tree, its three spellings and what may stand in each."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec
import yaml

from adapter import unread
from adapter.settings import LISTED, Settings

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
            return _parse_list(raw, self.type)
        return _parse_text(raw, listed=self.key in LISTED)


def leaves(tree: type[msgspec.Struct] = Settings, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Yield every field of the settings tree."""
    hints = get_type_hints(tree)
    for name, default in zip(tree.__struct_fields__, tree.__struct_defaults__, strict=True):
        if isinstance(default, msgspec.Struct):
            yield from leaves(hints[name], (*path, name))
        else:
            yield Leaf((*path, name), hints[name], default)


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


def _parse_list(raw: object, kind: type) -> object:
    """Return a list of mappings, as the file has it; a flag or variable spells it in YAML.

    Raises ValueError with a line for each entry that cannot be used.
    """
    try:
        found = yaml.safe_load(raw) if isinstance(raw, str) else raw
        entries = msgspec.convert(found, list[Any])
    except yaml.YAMLError as error:
        raise ValueError(unread.why(error)) from error
    except msgspec.ValidationError as error:
        raise ValueError(unread.shape(error)) from error
    (entry, *_), parsed, wrong = get_args(kind), [], []
    for number, one in enumerate(entries):
        try:
            parsed.append(msgspec.convert(one, entry))
        except msgspec.ValidationError as error:
            wrong.append(unread.shape(error, f"[{number}]"))
    if wrong:
        raise ValueError("\n".join(wrong))
    return tuple(parsed)


def _parse_seconds(raw: object) -> float:
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
        return float(raw)
    match = DURATION.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError(f"`{raw}` is no duration: write 15s, 500ms, 2m or a number of seconds")
    return float(match[1]) * _SECONDS[match[2]]
