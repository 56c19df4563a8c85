"""A caBundle holds every CA that some replica serves under, and no other for long."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.bundle import NEVER, OVERLAP_SECONDS, Bundle, blocks


def pem(name: str) -> str:
    body = base64.b64encode(name.encode() * 40).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


OLD, NEW, THIRD = pem("old"), pem("new"), pem("third")


def test_a_bundle_of_ours_alone_is_right_for_ever() -> None:
    assert Bundle().corrected(OLD, OLD, 0.0) == (None, NEVER)


@pytest.mark.parametrize("found", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nhalf"])
def test_a_wiped_bundle_is_ours_again(found: str) -> None:
    assert Bundle().corrected(OLD, found, 0.0) == (OLD, NEVER)


def test_two_of_ours_are_both_in_it_in_any_order() -> None:
    assert Bundle().corrected(OLD + NEW, OLD, 0.0) == (OLD + NEW, NEVER)
    assert Bundle().corrected(OLD + NEW, NEW + OLD, 0.0) == (None, NEVER)


def test_another_replicas_ca_stays_until_everybody_has_changed_over() -> None:
    bundle = Bundle()
    assert bundle.corrected(NEW, OLD + NEW, 100.0) == (None, OVERLAP_SECONDS)
    assert bundle.corrected(NEW, OLD + NEW, 200.0) == (None, OVERLAP_SECONDS - 100)
    assert bundle.corrected(NEW, OLD + NEW, 100.0 + OVERLAP_SECONDS) == (NEW, NEVER)


def test_a_bundle_that_lacks_ours_keeps_the_others() -> None:
    wanted, _ = Bundle().corrected(NEW, OLD, 0.0)
    assert wanted is not None
    assert set(blocks(wanted)) == {*blocks(OLD), *blocks(NEW)}


def test_how_the_lines_are_broken_does_not_matter() -> None:
    other = OLD.replace("\n", "\r\n") + "\n# a comment\n" + NEW.replace("\n", "\n\n")
    assert Bundle().corrected(OLD + NEW, other, 0.0) == (None, NEVER)


def test_a_certificate_that_comes_back_is_new_again() -> None:
    bundle = Bundle()
    bundle.corrected(NEW, OLD + NEW, 0.0)
    bundle.corrected(NEW, NEW, 10.0)
    assert bundle.corrected(NEW, OLD + NEW, OVERLAP_SECONDS) == (None, OVERLAP_SECONDS)


@given(
    st.lists(st.sampled_from([OLD, NEW, THIRD]), min_size=1, max_size=2),
    st.lists(st.sampled_from([OLD, NEW, THIRD]), max_size=3),
    st.floats(0, 1e6),
)
def test_what_is_written_is_right_at_once(ours: list[str], found: list[str], now: float) -> None:
    bundle = Bundle()
    wanted, _ = bundle.corrected("".join(ours), "".join(found), now)
    after = "".join(found) if wanted is None else wanted
    assert set(blocks("".join(ours))) <= set(blocks(after))
    assert bundle.corrected("".join(ours), after, now)[0] is None


@given(st.lists(st.sampled_from(["A", "B"]), min_size=4, max_size=4))
def test_two_replicas_that_change_over_end_with_the_new_ca_and_do_not_fight(
    order: list[str],
) -> None:
    """Whatever the order of their looks: nobody's CA is ever missing, and writes are few."""
    bundles = {"A": Bundle(), "B": Bundle()}
    ours = {"A": OLD, "B": OLD}
    found, writes = OLD, 0
    now = 0.0
    steps = [("A", OLD + NEW), ("A", NEW), ("B", OLD + NEW), ("B", NEW)]
    for name, next_one in steps:
        ours[name] = next_one
        for who in [name, *order]:
            now += 1.0
            wanted, _ = bundles[who].corrected(ours[who], found, now)
            writes += wanted is not None
            found = wanted or found
            assert set(blocks(ours[who])) <= set(blocks(found))
    for who in ("A", "B", "A"):
        now += OVERLAP_SECONDS
        wanted, _ = bundles[who].corrected(ours[who], found, now)
        writes += wanted is not None
        found = wanted or found
    assert set(blocks(found)) == set(blocks(NEW))
    assert writes <= 3
