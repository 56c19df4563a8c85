"""What a frame says beside its figures: the start, a stand-in, memory that fills."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake import word
from adapter.model.word import SILENT, Phases, Word
from sidecar.wire import EngineReading, EngineState, Frame, Oom
from sidecar.wire import Phases as Ages


def frame(**changes: object) -> Frame:
    fields: dict[str, object] = {"schema": 1, "boot": "b", "seq": 1, "period_seconds": 2.0}
    return Frame(**(fields | changes))  # type: ignore[arg-type]


def test_every_step_of_a_start_is_a_time_of_this_clock() -> None:
    ages = Ages(
        sidecar_started_age_seconds=90.0,
        engine_listening_age_seconds=80.0,
        engine_loading_age_seconds=70.0,
        engine_first_ready_age_seconds=20.0,
        engine_first_served_age_seconds=5.0,
        server_started_age_seconds=91.0,
    )
    assert word.told(frame(phases=ages), 100.0).phases == Phases(9.0, 10.0, 20.0, 30.0, 80.0, 95.0)


@pytest.mark.parametrize("age", [None, -1.0, 1e300, 31 * 86_400.0])
def test_a_step_of_no_likely_age_was_not_seen(age: float | None) -> None:
    ages = Ages(engine_first_ready_age_seconds=age, engine_listening_age_seconds=1.0)
    assert word.told(frame(phases=ages), 100.0).phases.seen() == (("engine_listening", 99.0),)


def test_a_stand_in_and_memory_that_fills_keep_their_words_cut() -> None:
    engine = EngineReading("ollama", EngineState.READY, pending=3.0, estimate="x" * 5_000)
    found = word.told(frame(engine=engine, oom=Oom(near=True, why="y" * 5_000)), 100.0)
    assert found == Word(Phases(), "x" * 200, near_oom=True, near_oom_why="y" * 200)
    assert word.told(frame(oom=Oom(near=False)), 100.0).near_oom is False


def test_a_release_is_kept_cut() -> None:
    assert word.told(frame(release="1" * 99), 100.0) == Word(release="1" * 40)
    assert word.told(frame(release=""), 100.0) == SILENT


def test_a_frame_that_says_nothing_beside_its_figures_says_nothing() -> None:
    assert word.told(frame(engine=EngineReading("vllm", EngineState.READY)), 100.0) is SILENT


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_age_makes_a_step_that_is_not_in_the_past(age: float) -> None:
    found = word.told(frame(phases=Ages(engine_first_ready_age_seconds=age)), 100.0).phases
    at = found.engine_ready
    assert at is None or (math.isfinite(at) and at <= 100.0)
