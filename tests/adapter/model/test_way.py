"""When a pod first served, by the three that may know: our own eyes, its source, its status."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter.model.sighting import Sighting
from adapter.model.way import PROBE_SECONDS, Way, ready_at
from tests.adapter.model.test_starting import KEY, NOW, served

SECONDS = st.floats(0.0, 2_000.0)


def a_way(*, watched: bool = False, held_back: bool = False) -> Way:
    return Way(Sighting("uid-a", "llm-a", KEY, NOW), watched=watched, held_back=held_back)


@given(SECONDS, st.none() | SECONDS)
def test_what_was_watched_counts_whatever_the_source_says(
    status: float, told: float | None
) -> None:
    word = None if told is None else NOW + told
    pod = served(after=status)
    assert ready_at(a_way(watched=True), pod, word, NOW + 2_000) == pod.ready_changed_at
    assert ready_at(a_way(watched=True, held_back=True), pod, word, NOW + 2_000) == NOW + 2_000


@given(SECONDS, SECONDS)
def test_of_what_was_not_watched_it_is_never_before_the_model_and_soon_after_it(
    status: float, told: float
) -> None:
    pod, word = served(after=status), NOW + told
    found = ready_at(a_way(), pod, word, NOW + 2_000)
    assert pod.model_started_at is not None
    assert found is not None
    if word < pod.model_started_at:
        assert found == pod.ready_changed_at
    else:
        assert word <= found <= word + PROBE_SECONDS
