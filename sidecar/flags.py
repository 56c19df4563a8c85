"""The flags: what each command that takes settings says of itself, and what it was given."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sidecar import cli

PREFIX = "FORESCALE_SIDECAR_"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting: the flag's name, its parser, its default as text, and its help."""

    flag: str
    attribute: str
    parse: Callable[[str], Any]
    default: str | None
    help: str
    also: str | None = None  # a variable that the downward API usually sets

    @property
    def variable(self) -> str:
        return PREFIX + self.flag.upper().replace("-", "_")


@dataclass(frozen=True, slots=True)
class Face:
    """How a command is called; `without` begins the names of settings that it has no use for.

    `defaults` are those that differ from the sidecar's, by the names of `Settings`.
    """

    name: str
    usage: str
    about: str
    after: str = ""
    without: tuple[str, ...] = ()
    why: str = ""  # it has no use for them
    defaults: Mapping[str, str] = field(default_factory=dict)

    def default(self, one: Field) -> str | None:
        return self.defaults.get(one.attribute, one.default)

    def takes(self, one: Field) -> bool:
        return not one.attribute.startswith(self.without)


SIDECAR = Face(
    "forescale-sidecar",
    "forescale-sidecar [FLAGS]",
    "Streams one pod's GPU figures and model server's queue to the forescale adapter.",
    after=cli.usage(),
)
AGENT = Face(
    "forescale-sidecar agent",
    "forescale-sidecar agent [FLAGS]",
    "Reads all GPUs of a node and asks the kubelet which pod holds which, for pods without a\n"
    "sidecar. One runs on each node, as root, with the kubelet's folder mounted.",
    without=("engine", "gpu_uuids", "shared_gpu", "pod_name"),
    why="is for a sidecar; an agent serves all pods of its node and reads no model server",
    defaults={"engine": "none", "pod_resources": "/var/lib/kubelet/pod-resources"},
)
WRAPPER = Face(
    "forescale-sidecar run",
    "forescale-sidecar run [FLAGS] -- COMMAND [ARGUMENTS]",
    "Runs a model server as its container's first process, with the sidecar beside it. The\n"
    "server gets the container's input, output, environment and signals; the container ends with\n"
    "the server's exit code.",
    after="example:\n  forescale-sidecar run --engine vllm -- vllm serve MODEL",
)


class FlagsError(ValueError):
    """A command line that cannot be read; the text names the flag."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise FlagsError(message.removeprefix("argument "))


def parse(
    fields: Sequence[Field], argv: Sequence[str], face: Face, version: str
) -> tuple[dict[str, str | None], list[str]]:
    """Return the text of each flag by its attribute, and what is wrong with the others.

    Raises FlagsError, and SystemExit for --help and --version, which it prints.
    """
    parser = _Parser(
        face.name,
        usage=face.usage,
        description=face.about,
        epilog=face.after,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for one in fields:
        said = f"{one.help} [{one.variable}, default {face.default(one) or 'none'}]"
        word = one.flag.rpartition("-")[2].upper()
        shown = said if face.takes(one) else argparse.SUPPRESS
        parser.add_argument(f"--{one.flag}", dest=one.attribute, metavar=word, help=shown)
    parser.add_argument("--version", action="version", version=f"forescale-sidecar {version}")
    found, others = parser.parse_known_args(argv)
    known = [f"--{one.flag}" for one in fields if face.takes(one)]
    wrong = [text for text in others if text.startswith("-")] or others  # the rest are their values
    return vars(found), [_unknown(text, known, face) for text in wrong]


def _unknown(text: str, known: Sequence[str], face: Face) -> str:
    flag = text.partition("=")[0]
    # Without the dashes, which make any two flags alike.
    near = difflib.get_close_matches(flag.strip("-"), [one.strip("-") for one in known], n=1)
    fix = f"did you mean --{near[0]}?" if near else f"`{face.name} --help` lists them"
    return f"{flag}: is no flag of `{face.name}`; {fix}"
