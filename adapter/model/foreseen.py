"""What is foreseen: the forecast of one total, as the Snapshot carries it, and whether it acts."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Mode(StrEnum):
    """What becomes of a forecast: the value of the annotation `forescale.dev/forecast`."""

    OFF = "off"
    OBSERVE = "observe"  # it is worked out and exported, and nothing goes by it
    ACT = "act"


# The most careful word first: of pods that disagree it counts.
CAREFUL = (Mode.OFF, Mode.OBSERVE, Mode.ACT)


class Foreseen(msgspec.Struct, frozen=True):
    """One total some moment ago, in the metric's unit, and what is forecast of it.

    `value` is the higher figure to go by, None where the present one stays: `why` says why.
    `predicted` is what was forecast, believed or not; `covered` the share of outcomes of the last
    six hours that were at most their forecast; both are None while too little is known.
    """

    mode: Mode
    present: float
    value: float | None
    predicted: float | None
    covered: float | None
    horizon: str
    why: str

    def raised(self, milli: int) -> int:
        """Return the total in thousandths as it acts: never lower, and nothing stays nothing."""
        if self.mode is not Mode.ACT or self.value is None or milli == 0:
            return milli
        return max(milli, round(1000 * self.value))
