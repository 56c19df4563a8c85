"""Findings: names are few on a line, and a refusal says which right is missing."""

from __future__ import annotations

from adapter.doctor.facts import Seen
from adapter.doctor.finding import Level, counted, named, unknown


def test_more_than_three_names_are_counted() -> None:
    assert named(["a", "b", "c"]) == "a, b, c"
    assert named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_one_is_not_many() -> None:
    assert [counted(n, "pod") for n in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]


def test_a_refusal_needs_a_right_and_silence_a_cluster() -> None:
    forbidden = unknown(Seen(refusal="no", code=403), "list nodes")
    assert (forbidden.level, forbidden.hint) == (Level.UNKNOWN, "use a user who may list nodes")
    assert "is the API server reachable?" in unknown(Seen(refusal="timeout"), "list nodes").hint
