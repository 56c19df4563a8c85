"""Owns the proof that retries grow apart and that a long good run is forgiven."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.backoff import Backoff


def test_waits_double_from_five_seconds_to_five_minutes() -> None:
    state, waits = Backoff(), []
    for _ in range(9):
        state = state.failed(100.0)
        waits.append(state.retry_at - 100.0)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_the_first_retry_may_be_at_once() -> None:
    state, waits = Backoff(), []
    for _ in range(4):
        state = state.failed(0.0, at_once=True)
        waits.append(state.retry_at)
    assert waits == [0, 5, 10, 20]


def test_a_short_run_is_not_forgiven_and_a_long_one_is() -> None:
    state = Backoff().failed(0.0).started(5.0).failed(10.0)
    assert state.retry_at == 20.0
    assert state.started(20.0).failed(80.0).retry_at == 85.0


@given(st.lists(st.booleans(), max_size=2000))
def test_a_wait_is_never_longer_than_five_minutes(kinds: list[bool]) -> None:
    state = Backoff()
    for at_once in kinds:
        state = state.failed(0.0, at_once=at_once)
        assert 0.0 <= state.retry_at <= 300.0
