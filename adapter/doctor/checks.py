"""The checks: all that the doctor looks at, by the names that docs/doctor.md explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from adapter.doctor import control, gates, hardware, releases, rights, scaling, sources, targets
from adapter.doctor.facts import Facts
from adapter.doctor.finding import Finding, Level

Check = Callable[[Facts], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "api-server": control.api_server,
    "gates": gates.gates,
    "apiservices": control.services,
    "certificates": control.certificates,
    "aggregation": control.aggregation,
    "hpa-rights": control.right,
    "adapter": control.adapter,
    "adapter-rights": rights.rights,
    "clock": control.clock,
    "gpus": hardware.gpus,
    "node-autoscaler": hardware.node_autoscaler,
    "sources": sources.sources,
    "readings": sources.readings,
    "readiness": sources.readiness,
    "annotations": sources.noted,
    "releases": releases.releases,
    "hpa-status": scaling.status,
    "hpa-metrics": scaling.metrics,
    "hpa-requests": scaling.requests,
    "hpa-pods": scaling.pods,
    "hpa-room": hardware.room,
    "hpa-conflicts": scaling.conflicts,
    "hpa-units": targets.units,
    "hpa-pending": targets.pending,
    "hpa-values": targets.values,
    "hpa-lulls": targets.lulls,
    "hpa-zero": targets.zero,
}


class Line(msgspec.Struct, frozen=True):
    """One line of the page; `check` is its heading in docs/doctor.md."""

    level: Level
    check: str
    seen: str
    hint: str = ""


class Diagnosis(msgspec.Struct, frozen=True, rename="camel"):
    """All that was found, and what was not looked at because there was too much of it."""

    lines: tuple[Line, ...]
    left_out: tuple[str, ...] = ()

    def exit_code(self) -> int:
        """Return 0 where all pass, 1 with a warning, 2 with a failure or an unknown."""
        levels = {line.level for line in self.lines}
        if levels & {Level.FAIL, Level.UNKNOWN}:
            return 2
        return 1 if Level.WARN in levels or self.left_out else 0


def diagnose(facts: Facts) -> Diagnosis:
    """Return what all checks find, in their order."""
    lines = (
        Line(found.level, name, found.seen, found.hint)
        for name, check in CHECKS.items()
        for found in _found(check, facts)
    )
    return Diagnosis(tuple(lines), facts.left_out)


def _found(check: Check, facts: Facts) -> list[Finding]:
    """Return what a check finds; one that breaks is unknown, and takes no other with it."""
    try:
        return list(check(facts))
    except Exception as error:  # noqa: BLE001 - an object of a shape that nobody has thought of
        words = f"this check broke: {type(error).__name__}: {error}"
        return [Finding(Level.UNKNOWN, words, "tell us of it, with the output of -o json")]
