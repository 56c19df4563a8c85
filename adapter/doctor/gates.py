"""The gates: whether HPAs may go to zero, as kube-apiserver says on its own /metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapter.doctor.control import minor_version
from adapter.doctor.facts import Facts, path_of
from adapter.doctor.finding import Finding, named, passed, unknown, warned

PATH = "/metrics"
ZERO = "HPAScaleToZero"
ON_FROM = (1, 37)
# `kubernetes_feature_enabled{name="HPAScaleToZero",stage="BETA"} 1`
_LINE = re.compile(
    rb'^kubernetes_feature_enabled\{[^}]*name="HPAScaleToZero"[^}]*\} ([01])', re.MULTILINE
)


class Sought:
    """Finds the gate's line on a page that comes in parts; no more than a line of it is kept."""

    def __init__(self) -> None:
        self._rest = b""

    def found(self, part: bytes) -> bool | None:
        """Return whether the gate is on, None where the page has not told it yet."""
        whole, _, self._rest = (self._rest + part).rpartition(b"\n")
        line = _LINE.search(whole)
        return None if line is None else line[1] == b"1"


def gates(facts: Facts) -> Iterator[Finding]:
    """Say whether minReplicas may be 0, and by what that is known."""
    zero = [path_of(h) for h in facts.hpas.body or () if h["spec"].get("minReplicas", 1) == 0]
    if facts.gate.body is None:
        yield from _by_version(facts, zero)
    elif facts.gate.body:
        yield passed(f"{ZERO} is on: minReplicas may be 0")
    elif zero:
        yield warned(
            f"{ZERO} is off: no more than what it was is taken of {named(zero)} with minReplicas 0",
            f"--feature-gates={ZERO}=true for kube-apiserver and kube-controller-manager",
        )
    else:
        yield passed(f"{ZERO} is off: no HPA may go to zero")


def _by_version(facts: Facts, zero: list[str]) -> Iterator[Finding]:
    """Go by the version; a gate that nobody needs is no reason to be uncertain."""
    if facts.version.refusal is not None:
        return  # said by `api-server`
    usual = "on" if minor_version(facts) >= ON_FROM else "off"
    words = f"{ZERO} is {usual} by the version, and may have been set: {PATH} does not tell it"
    if facts.gate.refusal is None or not zero:
        yield passed(words)
    else:
        found = unknown(facts.gate, f"get the path {PATH}")
        yield Finding(found.level, f"{words}; {named(zero)} need it", found.hint)
