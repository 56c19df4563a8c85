"""The word of a frame: what a sidecar says beside its figures, each thing within its caps."""

from __future__ import annotations

from adapter.model.word import SILENT, Phases, Word
from sidecar import wire

LONGEST_LIFE_SECONDS = 30 * 86_400.0  # a start that is older teaches nothing
MAX_RELEASE_CHARACTERS = 40
MAX_WORD_CHARACTERS = 200  # a tenant's words end up in the events of an HPA


def told(frame: wire.Frame, at: float) -> Word:
    """Return what the frame, received at monotonic `at`, says beside its figures."""
    engine, oom = frame.engine, frame.oom
    estimate = engine.estimate if engine else None
    if frame.phases is None and estimate is None and oom is None and frame.release is None:
        return SILENT
    return Word(
        _phases(frame.phases, at) if frame.phases else Phases(),
        _cut(estimate),
        oom.near if oom else None,
        _cut(oom.why) if oom else None,
        frame.release[:MAX_RELEASE_CHARACTERS] if frame.release else None,
    )


def _phases(told: wire.Phases, at: float) -> Phases:
    ages = (
        told.server_started_age_seconds,
        told.sidecar_started_age_seconds,
        told.engine_listening_age_seconds,
        told.engine_loading_age_seconds,
        told.engine_first_ready_age_seconds,
        told.engine_first_served_age_seconds,
    )
    return Phases(*(_since(age, at) for age in ages))


def _since(age: float | None, at: float) -> float | None:
    return at - age if age is not None and 0 <= age <= LONGEST_LIFE_SECONDS else None


def _cut(words: str | None) -> str | None:
    return words[:MAX_WORD_CHARACTERS] if words else None
