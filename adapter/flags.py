"""The flags: the command line of `forescale adapter`, and what was given on it."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

from adapter.errors import SettingsError
from adapter.explained import texts
from adapter.leaf import ENV_PREFIX, leaves


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError([message.removeprefix("argument ")])


def parser(told: Mapping[str, str] = MappingProxyType({})) -> argparse.ArgumentParser:
    """Return the command line of `forescale adapter`; `told` explains fields in its help."""
    made = _Parser(
        prog="forescale adapter",
        usage="forescale adapter [--config FILE] [FLAGS]",
        description="Serves the metrics APIs. Every flag is also a key of the file and a variable"
        f" of the environment: docs/settings.md. Variables begin with {ENV_PREFIX}.",
        allow_abbrev=False,
    )
    made.add_argument("--config", metavar="FILE", default=None, help="YAML file of settings")
    made.add_argument(
        "--check", metavar="FILE", default=None, help="say what is wrong with the file, and end"
    )
    for leaf in leaves():
        default = "none" if leaf.default in ("", (), {}) else leaf.default
        shown = f"{told.get('.'.join(leaf.path), '')} (default: {default})".replace("%", "%%")
        made.add_argument(leaf.flag, dest=leaf.key, metavar=leaf.shape, help=shown)
    return made


def given(arguments: Sequence[str], found: list[str]) -> dict[str, str | None]:
    """Return the text of each flag; what is no flag is added to `found`."""
    asks_help = {"-h", "--help"} & set(arguments)
    given, others = parser(texts() if asks_help else {}).parse_known_args(arguments)
    wrong = [text for text in others if text.startswith("-")] or others  # the rest are their values
    known = {leaf.flag.strip("-"): leaf for leaf in leaves()}
    for text in wrong:
        flag = text.partition("=")[0]
        near = difflib.get_close_matches(flag.strip("-"), known, n=1)
        fix = f"did you mean --{near[0]}?" if near else "`forescale adapter --help` lists them"
        found.append(f"{flag} is no flag; {fix}")
    return vars(given)
