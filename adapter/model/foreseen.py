"""What is foreseen: the forecast of one total, as the Snapshot carries it, and whether it acts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

import msgspec
from msgspec import structs


class Mode(StrEnum):
    """What becomes of a forecast: the value of the annotation `forescale.dev/forecast`."""

    OFF = "off"
    OBSERVE = "observe"  # it is worked out and exported, and nothing goes by it
    ACT = "act"


# The most careful word first: of pods that disagree it counts.
CAREFUL = (Mode.OFF, Mode.OBSERVE, Mode.ACT)


class Doubt(StrEnum):
    """Why a forecast is not gone by: one word for a metric, `why` beside it has the figures."""

    YOUNG = "young"  # too little is known yet, or it is known anew after a gap
    SILENT = "silent"  # no complete total for too long
    SHORT = "short"  # too much of what came was not covered
    EXCESS = "excess"  # forecasts were far too high
    PINNED = "pinned"  # the GPUs are full: what is asked of them beyond cannot be seen
    NO_ROOM = "no_room"  # others are forecast already
    FAILED = "failed"  # an error of ours, which is told


class Published(msgspec.Struct, frozen=True):
    """The value to serve, at least the present one; `predicted` is None where there is no forecast.

    `why` is the reason in words, also where the present value is served: for this `doubt`.
    """

    value: float
    predicted: float | None
    why: str
    doubt: Doubt | None = None


class Reckoning(msgspec.Struct, frozen=True):
    """How a forecast came about: which expert leads with which share of the weight, of 1.

    `expected` is the experts' mean before any margin, in the metric's unit; `margin_ratio` is what
    the margins made of it, None where nothing is expected. `weights` are those of all experts.
    """

    leader: str
    weight: float
    expected: float
    margin_ratio: float | None
    weights: Mapping[str, float] = {}


class Foreseen(msgspec.Struct, frozen=True):
    """One total some moment ago, in the metric's unit, and what is forecast of it.

    `value` is the higher figure to go by, None where the present one stays: `why` says why, and
    `doubt` in one word where that is because it is not believed. `predicted` is what was forecast,
    believed or not; `covered` the share of outcomes of the last six hours that were at most their
    forecast; both are None while too little is known. `present` is None where nobody looks; it was
    the total at `at`, in monotonic seconds; `believed_at` is when its forecast was last believed.
    """

    mode: Mode
    present: float | None
    value: float | None
    predicted: float | None
    covered: float | None
    horizon: str
    why: str
    doubt: Doubt | None = None
    reckoning: Reckoning | None = None
    at: float | None = None
    believed_at: float = -math.inf

    @property
    def fallback(self) -> str | None:
        """Why the present value is served, in one word; None where the forecast is gone by."""
        if self.mode is not Mode.ACT:
            return str(Mode.OBSERVE)
        return None if self.value is not None or self.doubt is None else str(self.doubt)

    def raised(self, milli: int) -> int:
        """Return the total in thousandths as it acts: never lower.

        A total of nothing is raised by what was forecast of nothing alone: that is above the
        activation threshold, and what was forecast of something is of before.
        """
        if self.mode is not Mode.ACT or self.value is None or (milli == 0 and self.present != 0):
            return milli
        return max(milli, round(1000 * self.value))


def nothing(mode: Mode, why: str, doubt: Doubt) -> Foreseen:
    """Return a total of which nothing is known, not even the present one."""
    return Foreseen(mode, None, None, None, None, "", f"present value: {why}", doubt)


def after_silence(
    before: Foreseen | None, now: Foreseen, most: float, held_seconds: float
) -> Foreseen:
    """Return what is foreseen now; of a demand seen again what was, until it is forecast again.

    That takes half a minute. Without it a silence, or full GPUs, would take the forecast's replicas
    away for so long. `most` is what may be served beside the present total; it is never below that.
    """
    if now.doubt is None and now.at is not None:
        return structs.replace(now, believed_at=now.at)
    if before is None or before.value is None or now.doubt is not Doubt.YOUNG:
        return now
    believed_at = before.at if before.doubt is Doubt.PINNED else before.believed_at
    if believed_at is None or now.at is None or now.at - believed_at > held_seconds:
        return now
    if not now.present and before.present:  # what was forecast of something is of before
        return now
    value = min(before.value, most)
    if now.present is None or value <= now.present:
        return now
    why = now.why.replace("present value", "held", 1)
    return structs.replace(now, value=value, why=why, believed_at=believed_at)
