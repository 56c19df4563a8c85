"""The hold: for how long the last word of a silent source stands, of each pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray


class Hold(msgspec.Struct, frozen=True):
    """The usual one, and those of pods that ask for another, by UID, in seconds."""

    usual_seconds: float
    own: Mapping[str, float] = {}

    def of(self, uid: str) -> float:
        """Return one pod's."""
        return self.own.get(uid, self.usual_seconds)

    def each(self, uids: Sequence[str]) -> float | NDArray[np.float64]:
        """Return each pod's, as one figure where none asks for another."""
        return np.array([self.of(uid) for uid in uids]) if self.own else self.usual_seconds
