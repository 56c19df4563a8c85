"""The how-tos' command lines: which are typed, as what they are typed, and why others are not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tests.docs import pages

PAGES = (
    "attach",
    "coldstart",
    "engines",
    "fallthrough",
    "forecast",
    "gpus",
    "install",
    "migrate",
    "resource-metrics",
    "status",
    "troubleshooting",
    "zero",
)
_TYPED = re.compile(
    r"(?:kubectl|helm|forescale|forescale-sidecar|docker|for|make|curl|promtool|scripts/\S+) \S"
)
_WRITES = re.compile(r"kubectl (?:-n \S+ )?(?:apply|create|delete|patch|replace) ")

NAMED = "a sentence names the command, its arguments are the reader's"
ELSEWHERE = "it takes minutes and has a job of its own"
NO_IMAGES = "there is no docker, and nowhere to push to"
# By how the line begins; a whole line where it ends with a full stop.
NOT_TYPED: Mapping[str, str] = {
    "docker buildx build": NO_IMAGES,
    "for target in": NO_IMAGES,
    "forescale replay.": NAMED,
    "forescale suggest.": NAMED,
    "forescale why.": NAMED,
    "forescale-sidecar ready ENGINE [PORT].": "it asks loopback, where the scene has no server",
    "forescale-sidecar run.": NAMED,
    "forescale-sidecar run [FLAGS] --": "there is no vLLM; the wrapper's tests run other servers",
    "helm package.": NAMED,
    "helm uninstall.": "the line that installs is a dry run, so there is no release",
    "kubectl apply.": NAMED,
    "kubectl apply -f manifests/components/keda-scaler/certificates.yaml.": "it needs KEDA's kinds",
    "kubectl apply -k.": NAMED,
    "kubectl top.": NAMED,
    "kubectl -n forescale-system port-forward": "no container runtime forwards ports; the proxy is",
    "kubectl proxy.": "it serves without end; what the page has behind it is asked for",
    "make bench": ELSEWHERE,
    "make demo.": ELSEWHERE,
}
# What needs no cluster, and so is typed by the tests of the pages.
OFFLINE = ("forescale migrate ", "forescale adapter --check ", "forescale-sidecar probe-for ")


def lines() -> list[str]:
    """Return each command line that a how-to shows, once, in the pages' order."""
    shown = (line for name in PAGES for line in _of(name))
    return list(dict.fromkeys(shown))


def typed() -> list[str]:
    """Return those that are to be typed."""
    return [line for line in lines() if not reason(line)]


def reason(line: str) -> str | None:
    """Return why a line is not typed; None where it is."""
    for start, why in NOT_TYPED.items():
        whole = start.endswith(".")
        if line == start.removesuffix(".") or (not whole and line.startswith(start)):
            return why
    return None


def is_offline(line: str) -> bool:
    return line.startswith(OFFLINE)


def dry(line: str) -> str:
    """Return a line that writes to the cluster as one that the API server only judges."""
    return f"{line} --dry-run=server" if _WRITES.match(line) else line


def strays() -> list[str]:
    """Return lines of a shell that are of no known program, and neither flags nor output."""
    return [line for name in PAGES for line in _shell(name) if not _TYPED.match(line)]


def _shell(name: str) -> Iterator[str]:
    page = pages.DOCS / f"{name}.md"
    for block in (*pages.blocks(page, ""), *pages.blocks(page, "sh")):
        lines = block.replace("\\\n", " ").splitlines()
        if block.startswith("$ "):  # what has no such mark is output
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        yield from (line for line in lines if line and not line.startswith((" ", "--")))


def _of(name: str) -> Iterator[str]:
    page = pages.DOCS / f"{name}.md"
    for line in pages.lines(page):
        if _TYPED.match(line):
            yield " ".join(line.split())
    for block in pages.blocks(page):
        yield from re.findall(r"# or: (kubectl .+)$", block, re.MULTILINE)
