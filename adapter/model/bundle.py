"""The CA bundle: what kube-apiserver has to trust while one CA follows another.

Replicas change over one after the other, each by its own clock. So a bundle is right when it holds
the CAs of the replica that looks; others in it are left for a while, then taken out.
"""

from __future__ import annotations

import re
from textwrap import wrap

# Until every replica has changed over: a mounted Secret reaches a pod within two minutes.
OVERLAP_SECONDS = 600.0
NEVER = float("inf")

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_BLOCK = re.compile(f"{_BEGIN}([^-]*){_END}")


def blocks(pem: str) -> tuple[str, ...]:
    """Return the certificates of a PEM, one text each, however its lines are broken."""
    bodies = ("".join(body.split()) for body in _BLOCK.findall(pem))
    return tuple("\n".join((_BEGIN, *wrap(body, 64), _END, "")) for body in bodies)


class Bundle:
    """One bundle as it was found over time; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}  # others' certificates, by when they were first seen

    def corrected(self, ours: str, found: str, now: float) -> tuple[str | None, float]:
        """Return the bundle to write, None where the one that was found is right.

        The second figure says in how many seconds one that is right now will not be any more.
        """
        mine, there = blocks(ours) or (ours,), blocks(found)
        others = {block for block in there if block not in mine}
        self._since = {block: self._since.get(block, now) for block in others}
        kept = sorted(b for b in others if now < self._since[b] + OVERLAP_SECONDS)
        if set(there) == {*mine, *kept} or found == ours:
            ends = (self._since[block] + OVERLAP_SECONDS - now for block in kept)
            return None, min(ends, default=NEVER)
        return "".join([ours, *kept]), NEVER
