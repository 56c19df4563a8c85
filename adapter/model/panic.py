"""The panic: a burst that no forecast saw coming holds what it asked for until its pods are ready.

Knative leaves its panic after a minute, before slow pods serve, and scales down what it had just
asked for (knative/serving#3153); here the hold lasts for the whole horizon.
"""

from __future__ import annotations

import math

from adapter.model.memo import Memo

RATIO = 1.5  # of the mean of 10 s to that of 180 s
SIGMAS = 3.0
LEAST_SECONDS = 60.0
_FAST_SECONDS, _SLOW_SECONDS = 10.0, 180.0
# The fast mean stands for about twenty seconds: its noise is larger than a minute's.
_NOISE = math.sqrt(60.0 / 20.0)
_BREAK_SECONDS = 120.0  # after such a silence the means begin anew


class Panic:
    """Owns the two means of the readings, and the highest reading since the burst began."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._fast = self._slow = 0.0
        self._burst_at: float | None = None
        self._highest = 0.0

    def memorise(self, memo: Memo) -> None:
        """Hand over all of it."""
        self._at, self._burst_at = memo.real(self._at), memo.real(self._burst_at)
        self._fast, self._slow = memo.real(self._fast) or 0.0, memo.real(self._slow) or 0.0
        self._highest = memo.real(self._highest) or 0.0

    def add(self, now: float, reading: float, sigma: float) -> None:
        """Take in a reading; `sigma` is the usual size of a minute's log-ratio."""
        if self._at is None or now - self._at > _BREAK_SECONDS:
            self._fast = self._slow = reading
        else:
            passed = now - self._at
            self._fast += (1.0 - math.exp(-passed / _FAST_SECONDS)) * (reading - self._fast)
            self._slow += (1.0 - math.exp(-passed / _SLOW_SECONDS)) * (reading - self._slow)
        self._at = now
        if self._bursts(sigma):
            self._highest = max(reading, self._highest if self._burst_at is not None else 0.0)
            self._burst_at = now

    def held(self, now: float, horizon_seconds: float) -> float:
        """Return the demand that a burst holds now; 0 without one."""
        if self._burst_at is None:
            return 0.0
        if now - self._burst_at > max(LEAST_SECONDS, horizon_seconds):
            self._burst_at, self._highest = None, 0.0
        return self._highest

    def _bursts(self, sigma: float) -> bool:
        if self._slow <= 0 or self._fast <= RATIO * self._slow:
            return False
        return math.log(self._fast / self._slow) > SIGMAS * _NOISE * sigma
