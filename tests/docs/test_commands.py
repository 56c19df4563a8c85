"""What the pages tell a user to type can be typed: commands, flags, paths, links, manifests."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import yaml

from adapter.cli import entry
from adapter.model import hpa_policy
from sidecar import cli
from tests.docs import pages

SIDECAR = "forescale-sidecar"
MANIFEST = re.compile(r"(?:^|[\s(\[])(?:\.\./)*(?:forescale/)?(manifests/[\w./-]*[\w/])")
FLAG = re.compile(r"--?[A-Za-z][\w-]*")
TARGET = re.compile(r"^make ([a-z0-9-]+)")


@cache
def helped(program: str, command: str) -> str:
    """Return what `--help` of one subcommand prints; of the sidecar itself without one."""
    run = cli.main if program == SIDECAR else entry.main
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        run([*filter(None, [command]), "--help"])
    return out.getvalue()


def parted(line: str) -> tuple[str, str, list[str]]:
    """Return a command line as program, subcommand and its own words, up to a `--`."""
    words = shlex.split(line.removeprefix("kubectl "))
    program, rest = words[0], words[1:]
    own = rest[: rest.index("--")] if "--" in rest else rest
    named = own and not own[0].startswith("-")
    return (program, own[0], own[1:]) if named else (program, "", own)


def wrong(line: str) -> list[str]:
    """Return what of a command line its program does not know."""
    program, command, words = parted(line)
    known = cli.COMMANDS if program == SIDECAR else entry.COMMANDS
    if command and command not in known and command != "COMMAND":
        return [command]
    taken = set(FLAG.findall(helped(program, command)))
    asked = [word.split("=")[0] for word in words if FLAG.fullmatch(word.split("=")[0])]
    return [flag for flag in asked if flag not in taken | {"--help", "--version"}]


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_with_these_flags(page: Path) -> None:
    found = {line: wrong(line) for line in pages.commands(page)}
    assert {line: unknown for line, unknown in found.items() if unknown} == {}


def test_the_pages_show_commands_and_a_wrong_one_would_be_found() -> None:
    assert sum(len(list(pages.commands(page))) for page in pages.pages()) > 50
    assert wrong("forescale whi hpa/llm") == ["whi"]
    assert wrong("forescale why hpa/llm --namespaces prod") == ["--namespaces"]
    assert wrong("forescale-sidecar run --engines vllm -- vllm serve --port 8000") == ["--engines"]
    assert wrong("kubectl forescale why hpa/llm -n prod") == []


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        known = pages.anchors(target) if anchor and target.suffix == ".md" else {anchor}
        if "://" not in link and not (target.exists() and anchor in known):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_every_path_of_a_manifest_exists(page: Path) -> None:
    named = set(MANIFEST.findall(pages.text(page)))
    placeholders = {path for path in named if "NAME" in path}
    assert [path for path in named - placeholders if not (pages.ROOT / path).exists()] == []


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    makefile = pages.ROOT / "Makefile"
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile.read_text(), re.MULTILINE))
    found = (TARGET.match(line) for line in pages.lines(page))
    assert {match[1] for match in found if match} <= targets


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_every_yaml_is_read_and_every_whole_hpa_is_accepted(page: Path) -> None:
    for block in pages.blocks(page, "yaml"):
        for document in yaml.safe_load_all(block):
            if isinstance(document, dict) and document.get("kind") == "HorizontalPodAutoscaler":
                hpa_policy.parse(document, tuple(hpa_policy.Kind), values=True)


COMMON = "Common options"


def options(heading: str) -> set[str]:
    """Return the long flags that a section of the page about commands has a row for."""
    page = pages.DOCS / "commands.md"
    (part,) = re.findall(
        rf"^## {heading}$(.*?)(?=^## |\Z)", page.read_text(), re.DOTALL | re.MULTILINE
    )
    rows = re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)
    return {flag for row in rows for flag in re.findall(r"--[a-z-]+", row)}


@pytest.mark.parametrize("command", entry.COMMANDS)
def test_every_option_of_a_command_is_on_its_page_and_none_that_is_gone(command: str) -> None:
    taken = set(re.findall(r"--[a-z][a-z-]+", helped("forescale", command))) - {"--help"}
    told, common = options(command), options(COMMON)
    if command == "adapter":  # its flags are settings, which have a page of their own
        assert told == {"--config", "--check"} <= taken
        return
    shared = common if common <= taken else set()
    assert taken == told | shared
