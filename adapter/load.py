"""Loading: flags over environment over file over defaults become one Settings, or every problem.

The only reader of the environment. The spellings of a field are made from its path in the tree, so
a new field in settings.py is at once a flag, a variable and a key.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
import yaml

from adapter import document
from adapter.consistency import problems
from adapter.errors import SettingsError
from adapter.paths import absent, missing
from adapter.settings import LISTED, Settings

_Tree = TypeVar("_Tree", bound=msgspec.Struct)

ENV_PREFIX = "FORESCALE_ADAPTER_"

# What the kubelet injects for a Service named `forescale-adapter` or `forescale-adapter-…`: a port
# may be spelled as a setting and is known by its value, the others are known by their name.
_SERVICE_LINK_NAME = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)"
)
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")

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
        return ".".join(_camel(name) for name in self.path)

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


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings, and warnings about what was ignored.

    Raises SettingsError with every problem of flags, variables, file and cross-checks at once. A
    variable that is no setting is a warning: the kubelet and others put theirs in, too.
    `--help`, `--config` and `--check` are understood besides the fields; the last one also looks
    for the files that the settings name.
    """
    flags = vars(parser().parse_args(arguments))
    checked, path = flags.pop("check"), flags.pop("config")
    found: list[str] = []
    warnings: list[str] = []
    values = _from_file("--check" if checked else "--config", checked or path, found)
    values |= _from_environment(environment, found, warnings)
    values |= _from_flags(flags, found)
    settings = _build(Settings, (), values)
    found += problems(settings)
    if checked:
        found += missing(settings)
        warnings += absent(settings)
    if found:
        raise SettingsError(found)
    return settings, warnings


def parser() -> argparse.ArgumentParser:
    """Return the command line of `forescale adapter`."""
    made = argparse.ArgumentParser(prog="forescale adapter", allow_abbrev=False)
    made.add_argument("--config", metavar="FILE", default=None, help="YAML file of settings")
    made.add_argument(
        "--check", metavar="FILE", default=None, help="say what is wrong with the file, and end"
    )
    for leaf in leaves():
        shown = f"(default: {leaf.default})" if leaf.default not in ("", ()) else "(default: none)"
        made.add_argument(leaf.flag, dest=leaf.key, metavar=leaf.shape, help=shown)
    return made


def _from_flags(flags: Mapping[str, str | None], found: list[str]) -> dict[str, object]:
    given = {leaf.key: (leaf, flags[leaf.key]) for leaf in leaves()}
    return _parsed(
        [(leaf, raw, leaf.flag) for leaf, raw in given.values() if raw is not None], found
    )


def _from_environment(
    environment: Mapping[str, str], found: list[str], warnings: list[str]
) -> dict[str, object]:
    known = {leaf.variable: leaf for leaf in leaves()}
    raws = []
    for name, raw in environment.items():
        if not name.startswith(ENV_PREFIX):
            continue
        if _SERVICE_LINK_VALUE.match(raw) or (
            name not in known and _SERVICE_LINK_NAME.fullmatch(name.removeprefix(ENV_PREFIX))
        ):
            warnings.append(f"{name} comes from a Service link and is ignored")
        elif name in known:
            raws.append((known[name], raw, name))
        else:
            warnings.append(f"{name} is no setting and is ignored{_nearest_variable(name, known)}")
    return _parsed(raws, found)


def _from_file(flag: str, path: str | None, found: list[str]) -> dict[str, object]:
    if path is None:
        return {}
    tree = document.read(Path(path), f"{flag} {path}", found)
    known = {leaf.key: leaf for leaf in leaves()}
    raws = []
    for key, raw in _flatten(tree, known):
        if key in known:
            raws.append((known[key], raw, f"{path}: {key}"))
        elif below := [leaf for leaf in known if leaf.startswith(f"{key}.")]:
            has = "has nothing below it" if raw is None else f"is `{raw}`"
            name = below[0].removeprefix(f"{key}.")
            found.append(
                f"{path}: {key} {has}: write its settings there, as in {key}: {{{name}: …}}"
            )
        else:
            found.append(f"{path}: {key} is no setting{_nearest(key, known)}")
    return _parsed(raws, found)


def _flatten(
    tree: Mapping[Any, Any], known: Mapping[str, Leaf], path: str = ""
) -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        key = f"{path}.{name}" if path else str(name)
        if isinstance(value, dict) and key not in known:
            yield from _flatten(value, known, key)
        else:
            yield key, value


def _parsed(raws: Sequence[tuple[Leaf, object, str]], found: list[str]) -> dict[str, object]:
    values = {}
    for leaf, raw, spelling in raws:
        try:
            values[leaf.key] = leaf.parse(raw)
        except ValueError as error:
            found.append(f"{spelling}: {error}")
    return values


def _build(tree: type[_Tree], path: tuple[str, ...], values: Mapping[str, object]) -> _Tree:
    hints = get_type_hints(tree)
    fields = {}
    for name, default in zip(tree.__struct_fields__, tree.__struct_defaults__, strict=True):
        here = (*path, name)
        if isinstance(default, msgspec.Struct):
            fields[name] = _build(hints[name], here, values)
        else:
            fields[name] = values.get(".".join(_camel(part) for part in here), default)
    return tree(**fields)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _nearest(name: str, known: Mapping[str, Leaf]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _nearest_variable(name: str, known: Mapping[str, Leaf]) -> str:
    """As `_nearest`, by what follows the prefix: with it, any two names are alike."""
    tails = {variable.removeprefix(ENV_PREFIX): leaf for variable, leaf in known.items()}
    near = difflib.get_close_matches(name.removeprefix(ENV_PREFIX), tails, n=1)
    return f"; did you mean {ENV_PREFIX}{near[0]}?" if near else ""


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
    """Return a list of mappings, as the file has it; a flag or variable spells it in YAML."""
    try:
        found = yaml.safe_load(raw) if isinstance(raw, str) else raw
        return msgspec.convert(found, kind)
    except yaml.YAMLError as error:
        raise ValueError(f"is no YAML: {str(error)[:200]}") from error
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}: write a list of mappings") from error


def _parse_seconds(raw: object) -> float:
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
        return float(raw)
    match = DURATION.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError(f"`{raw}` is no duration: write 15s, 500ms, 2m or a number of seconds")
    return float(match[1]) * _SECONDS[match[2]]
