"""Owns the proof of when a model server's start-up is seen, and that a restart begins it anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.life import Life, after
from sidecar.modelserver import EngineRead
from sidecar.wire import EngineReading, EngineState


def ready(finished: float | None = 0.0, tokens: float | None = None) -> EngineRead:
    return EngineRead(
        EngineReading(
            "vllm", EngineState.READY, finished_total=finished, output_tokens_total=tokens
        )
    )


def missing(state: EngineState, failure: str) -> EngineRead:
    return EngineRead(EngineReading("vllm", state, "why"), failure=failure)


REFUSED = missing(EngineState.LOADING, "no_server")
LOADING = missing(EngineState.LOADING, "status")
FAILING = missing(EngineState.FAILING, "timeout")
NONE = missing(EngineState.NONE, "no_page")


def lived(*reads: EngineRead) -> Life:
    """Return the life after readings at 1, 2, 3 …"""
    life, before = Life(), None
    for now, read in enumerate(reads, start=1):
        life = after(life, before, read, float(now))
        before = read.reading if read.reading.state is EngineState.READY else before
    return life


def test_each_phase_is_seen_once_and_keeps_its_time() -> None:
    reads = (REFUSED, LOADING, LOADING, ready(), ready(), ready(1.0), ready(2.0), FAILING)
    assert lived(*reads) == Life(listening_at=2, loading_at=2, ready_at=4, served_at=6)


def test_a_server_that_listens_only_when_loaded_is_never_seen_loading() -> None:
    assert lived(REFUSED, REFUSED, ready()) == Life(listening_at=3, ready_at=3)


def test_the_first_tokens_are_a_request_served_too() -> None:
    assert lived(ready(None, 0.0), ready(None, 7.0)).served_at == 2
    assert lived(ready(None)).served_at is None


def test_a_restart_that_was_seen_begins_all_anew() -> None:
    assert lived(ready(5.0), REFUSED) == Life()
    assert lived(ready(5.0), REFUSED, LOADING, ready()) == Life(3, 3, 4, None)


def test_a_restart_between_two_readings_is_told_by_a_counter_that_fell() -> None:
    assert lived(ready(5.0), ready(0.0)) == Life(listening_at=2, ready_at=2)
    assert lived(ready(5.0, 900.0), FAILING, ready(5.0, 3.0)) == Life(3, None, 3, 3)


def test_a_busy_server_that_fails_to_answer_stays_in_its_life() -> None:
    assert lived(ready(1.0), FAILING, FAILING, ready(2.0)) == Life(1, None, 1, 1)


def test_without_an_engine_there_is_no_life() -> None:
    assert lived(ready(1.0), NONE) == Life()


@given(st.lists(st.sampled_from([REFUSED, LOADING, FAILING, NONE, ready(), ready(1.0)])))
def test_no_phase_is_seen_before_the_one_that_it_needs(reads: list[EngineRead]) -> None:
    life = lived(*reads)
    if life.ready_at is not None:
        assert life.listening_at is not None
        assert life.listening_at <= life.ready_at
        assert life.loading_at is None or life.loading_at <= life.ready_at
    if life.served_at is not None:
        assert life.ready_at is not None
        assert life.ready_at <= life.served_at
