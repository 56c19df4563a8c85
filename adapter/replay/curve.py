"""The curve: what a policy costs and how punctual it is over the whole range of its target.

One point misleads: any policy is punctual at a low target, and cheap at a high one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from adapter.replay.score import Score

RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
CURVED = ("reactive", "forescale")  # the others are points: each curve is six replays more


class Curve(msgspec.Struct, frozen=True):
    """One policy's scores by target, the lowest first; a point is a curve of one score."""

    policy: str
    ratios: tuple[float, ...]
    scores: tuple[Score, ...]


def curves(names: Sequence[str], attempt: Callable[[str, float], Score]) -> list[Curve]:
    """Return the curve of each policy that has one; `attempt` plays a policy at a target."""
    return [
        Curve(name, RATIOS, tuple(attempt(name, ratio) for ratio in RATIOS))
        for name in CURVED
        if name in names
    ]
