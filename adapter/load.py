"""Loading: flags over environment over file over defaults become one Settings, or every problem.

The only reader of the environment. The spellings of a field are made from its path in the tree, so
a new field in settings.py is at once a flag, a variable and a key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec import structs

from adapter import document, flags
from adapter.consistency import problems, unverified
from adapter.errors import SettingsError
from adapter.leaf import ENV_PREFIX, Leaf, camel, leaves
from adapter.paths import absent, missing
from adapter.settings import Settings

_Tree = TypeVar("_Tree", bound=msgspec.Struct)

# What the kubelet injects for a Service named `forescale-adapter` or `forescale-adapter-…`: a port
# may be spelled as a setting and is known by its value, the others are known by their name.
_SERVICE_LINK_NAME = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)"
)
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings, and warnings about what was ignored.

    Raises SettingsError with every problem of flags, variables, file and cross-checks at once. A
    variable that is no setting is a warning: the kubelet and others put theirs in, too.
    `--help`, `--config` and `--check` are understood besides the fields; the last one also looks
    for the files that the settings name.
    """
    found: list[str] = []
    given = flags.given(arguments, found)
    checked, path = given.pop("check"), given.pop("config")
    warnings: list[str] = []
    given_file, flag = checked or path, "--check" if checked else "--config"
    values = _from_file(f"{flag} {given_file}", given_file, found) if given_file else {}
    values |= _from_environment(environment, found, warnings)
    values |= _from_flags(given, found)
    settings = _build(Settings, (), values)
    found += problems(settings)
    if checked:
        found += missing(settings)
        warnings += [*absent(settings), *unverified(settings)]
    if found:
        raise SettingsError([_placed(problem, checked) for problem in found])
    return settings, warnings


def read(tree: type[_Tree], path: str) -> _Tree:
    """Return what a file of its own says; raise SettingsError with every problem of its shape."""
    found: list[str] = []
    values = _from_file(path, path, found, tree)
    if found:
        raise SettingsError(found)
    return _build(tree, (), values)


def _placed(problem: str, checked: str | None) -> str:
    """Return the problem with the file that was to be checked, where it does not name it."""
    return problem if checked is None or checked in problem else f"{checked}: {problem}"


def _from_flags(given: Mapping[str, str | None], found: list[str]) -> dict[str, object]:
    raws = [(leaf, given[leaf.key], leaf.flag) for leaf in leaves()]
    return _parsed([(leaf, raw, flag) for leaf, raw, flag in raws if raw is not None], found)


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


def _from_file(
    called: str, path: str, found: list[str], tree: type[msgspec.Struct] = Settings
) -> dict[str, object]:
    known = {leaf.key: leaf for leaf in leaves(tree)}
    raws = []
    for key, raw in _flatten(document.read(Path(path), called, found), known):
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
        if isinstance(value, dict) and key not in known and (value or _is_section(key, known)):
            yield from _flatten(value, known, key)
        else:
            yield key, value


def _is_section(key: str, known: Mapping[str, Leaf]) -> bool:
    return any(leaf.startswith(f"{key}.") for leaf in known)


def _parsed(raws: Sequence[tuple[Leaf, object, str]], found: list[str]) -> dict[str, object]:
    values = {}
    for leaf, raw, spelling in raws:
        try:
            values[leaf.key] = leaf.parse(raw)
        except ValueError as error:
            # A path within the value goes on from its name, as in prometheus.objects[0].query.
            found += (
                f"{spelling}{'' if words.startswith(('[', '.')) else ': '}{words}"
                for words in str(error).splitlines()
            )
    return values


def _build(tree: type[_Tree], path: tuple[str, ...], values: Mapping[str, object]) -> _Tree:
    hints = get_type_hints(tree)
    fields = {}
    for field in structs.fields(tree):
        here = (*path, field.name)
        key = ".".join(map(camel, here))
        if isinstance(field.default, msgspec.Struct):
            fields[field.name] = _build(hints[field.name], here, values)
        elif key in values:
            fields[field.name] = values[key]
    return tree(**fields)


def _nearest(name: str, known: Mapping[str, Leaf]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _nearest_variable(name: str, known: Mapping[str, Leaf]) -> str:
    """As `_nearest`, by what follows the prefix: with it, any two names are alike."""
    tails = {variable.removeprefix(ENV_PREFIX): leaf for variable, leaf in known.items()}
    near = difflib.get_close_matches(name.removeprefix(ENV_PREFIX), tails, n=1)
    return f"; did you mean {ENV_PREFIX}{near[0]}?" if near else ""
