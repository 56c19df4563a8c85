"""The seam: where a Forecaster goes on after a restart, and how long what it missed is felt.

A replica that lived has learnt from what the restarted one did not see. What the windows of the
pods tell of that time is learnt first (backlog.py); the seam is open where they do not tell.
"""

from __future__ import annotations

import math

from adapter.model.experts import TICK_SECONDS
from adapter.model.memo import Memo

CLOSE_SECONDS = 10.0  # two readings: 0.5 % apart at most, on synthetic days
# With a half-minute missed the last minute's mean is 2.5 % off, and 1 % when it is over. With more
# of them the levels are, and what was learnt: up to 30 %, 16 % after ten minutes, 5 % after thirty.
BRIEF_SECONDS = 90.0
LONG_SECONDS = 1_800.0


class Seam:
    """Owns whether the first reading since a restart is awaited, and until when it is felt."""

    def __init__(self) -> None:
        self._until = 0.0
        self.awaits = False
        self.begun_at = -math.inf  # before that no pod served: nobody has missed anything

    def memorise(self, memo: Memo) -> None:
        """Hand over until when it is felt: another restart heals nothing."""
        self._until = memo.real(self._until) or 0.0

    def join(self, before: float, now: float) -> None:
        """Take note of the reading now; the one before it was at `before`."""
        if not self.awaits:
            return
        self.awaits, missed = False, now - max(before, self.begun_at)
        if missed > CLOSE_SECONDS:
            felt = LONG_SECONDS if missed > TICK_SECONDS else BRIEF_SECONDS
            self._until = max(self._until, now + felt)

    def doubt(self, now: float) -> str | None:
        """Return in words why no forecast is to be believed yet; None where it is."""
        if now >= self._until:
            return None
        left = self._until - now
        wait = f"{left / 60:.0f} minutes" if left > BRIEF_SECONDS else f"{left:.0f} s"
        return f"nobody told what came before the restart: forecast again in {wait}"
