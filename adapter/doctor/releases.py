"""The releases: whether sidecars are older or newer than the adapter that reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapter.doctor.facts import Facts
from adapter.doctor.finding import Finding, counted, passed, warned
from adapter.ops.top import Load, Loads

_RELEASE = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})")
Release = tuple[int, ...]


def releases(facts: Facts) -> Iterator[Finding]:
    """Say which workloads have sidecars of another release than the adapter's."""
    told: list[Loads] = [seen.body for seen in facts.loads.values() if seen.refusal is None]
    troubles, count = list[Finding](), 0
    for loads in told:
        own = _numbers(loads.release)
        if own is None:
            continue  # an adapter from a source tree
        for load in loads.workloads:
            count += sum(load.releases.values())
            troubles += [_other(load, name, loads.release) for name in _others(load, own)]
    yield from troubles
    if count and not troubles:
        yield passed(f"{counted(count, 'sidecar')}, of the adapter's release")


def _others(load: Load, own: Release) -> list[str]:
    """Return the releases that are not the adapter's; what is no release is of a source tree."""
    return [name for name in load.releases if not name or _numbers(name) not in (own, None)]


def _other(load: Load, name: str, own: str) -> Finding:
    many = counted(load.releases[name], "sidecar")
    words = f"{load.kind} {load.namespace}/{load.name}: {many} of {name or 'a release unsaid'}"
    if (_numbers(name) or ()) > (_numbers(own) or ()):
        return warned(f"{words}, newer than the adapter's {own}", "update the adapter first")
    hint = f"the image forescale-sidecar:{own} in its pod template; docs/install.md"
    return warned(f"{words}, older than the adapter's {own}", hint)


def _numbers(release: str) -> Release | None:
    found = _RELEASE.match(release)
    return tuple(map(int, found.groups())) if found else None
