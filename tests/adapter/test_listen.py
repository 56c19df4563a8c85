"""How many may be connected at once, in all and from one address."""

from __future__ import annotations

from adapter.listen import Gate


def test_the_gate_counts_all_and_each() -> None:
    gate = Gate(limit=3, per_peer=2)
    entered = [gate.enter(peer) for peer in "aaabb"]
    assert entered == [True, True, False, True, False]
    gate.leave("a")
    assert gate.enter("c")
    for peer in ("a", "b", "c"):
        gate.leave(peer)
    assert gate._open == {}


def test_the_gate_keeps_places_for_those_with_a_certificate() -> None:
    gate = Gate(limit=3, per_peer=2, reserved=1)
    assert [gate.enter(peer) for peer in "abc"] == [True, True, False]
    assert [gate.enter(peer, known=True) for peer in "cd"] == [True, False]


def test_only_strangers_are_counted_by_address() -> None:
    gate = Gate(limit=4, per_peer=1)
    assert [gate.enter("a", known=True) for _ in range(5)] == [True] * 4 + [False]
    gate.leave("a")
    assert [gate.enter("a"), gate.enter("b"), gate.enter("b", known=True)] == [False, True, False]
