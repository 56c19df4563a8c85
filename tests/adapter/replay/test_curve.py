"""A curve is one policy over the range of its target."""

from __future__ import annotations

from adapter.replay.curve import RATIOS, curves
from adapter.replay.score import Score


def score(name: str, ratio: float) -> Score:
    return Score(f"{name}:{ratio}", 1.0 - ratio, 1.0, 1.0 / ratio, 1.0, 0, 1)


def test_each_policy_that_has_a_curve_is_played_at_every_target() -> None:
    (found,) = curves(["seed", "forescale"], score)
    assert found.policy == "forescale"
    assert [one.policy for one in found.scores] == [f"forescale:{ratio}" for ratio in RATIOS]


def test_without_such_a_policy_nothing_is_played() -> None:
    assert curves(["seed", ""], score) == []
