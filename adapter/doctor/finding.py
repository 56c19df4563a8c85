"""The finding: one line of the doctor's page, how grave it is, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from adapter.doctor.facts import Seen

_NAMED = 3  # of what a line is about; the rest are counted
_FORBIDDEN = (401, 403)


class Level(StrEnum):
    """How grave. UNKNOWN is what could not be looked at: nobody may take it for healthy."""

    PASS = "PASS"  # noqa: S105 - no password
    WARN = "WARN"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Finding(msgspec.Struct, frozen=True):
    """One line; `hint` is the command or the line of a manifest that mends it, "" with PASS."""

    level: Level
    seen: str
    hint: str = ""


def passed(seen: str) -> Finding:
    """Return what was looked at and is as it should be."""
    return Finding(Level.PASS, seen)


def warned(seen: str, hint: str) -> Finding:
    """Return what works, but not as well as it could, or not for long."""
    return Finding(Level.WARN, seen, hint)


def failed(seen: str, hint: str) -> Finding:
    """Return what keeps an HPA from scaling."""
    return Finding(Level.FAIL, seen, hint)


def unknown(answer: Seen, right: str) -> Finding:
    """Return what could not be looked at; `right` is what one has to be allowed for it."""
    hint = "is the API server reachable? try: kubectl get --raw /readyz"
    if answer.code in _FORBIDDEN:
        hint = f"use a user who may {right}"
    return Finding(Level.UNKNOWN, answer.refusal or "no answer", hint)


def named(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, one: str) -> str:
    """Return how many there are of something: `1 pod`, `2 pods`."""
    return f"{count} {one}" + ("" if count == 1 else "s")
