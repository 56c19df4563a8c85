"""The experts: simple predictions of one demand, each for every rung of the ladder of horizons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapter.model.memo import Memo
from adapter.model.regression import Regression
from adapter.model.season import Season

Figures = NDArray[np.float64]

TICK_SECONDS = 30.0
LADDER_SECONDS = np.array([60.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0])
LADDER_TICKS = (LADDER_SECONDS / TICK_SECONDS).astype(np.int64)
RUNGS = len(LADDER_SECONDS)

NAMES = (
    "last",  # the last minute
    "ewma-180",
    "ewma-600",
    "trend",  # Holt's, damped: a trend that is not damped hurts
    "season-ratio",  # ewma-180 times how the day usually goes on
    "season",  # the day as it usually is, at today's level
    "regression",
    "season-peak",  # the highest of the usual day around then, at today's level
    "level-or-peak",  # the larger of ewma-180 and season-peak
)

_HOLT_LEVEL, _HOLT_TREND, _HOLT_DAMPING = 0.15, 0.02, 0.98  # per tick
_MOST_RATIO = 3.0  # of the season: a quiet night must not multiply a morning
_CLIP_LOW, _CLIP_HIGH = 0.25, 4.0  # of ewma-180, for the regression
_USUAL_SHARE = 5e-4  # of a tick, for the size that the regression's roots are taken over
_SLOW_SECONDS = 1_800.0
_FEATURES = 9
_DAY_SECONDS = 86_400.0


def _share(seconds: float) -> float:
    """Return what one tick weighs in an exponential mean of this time constant."""
    return 1.0 - math.exp(-TICK_SECONDS / seconds)


_SHARES = np.array([_share(180.0), _share(600.0), _share(_SLOW_SECONDS)])


class Levels(NamedTuple):
    """The exponential means [3], Holt's level and trend, and the usual size."""

    means: Figures
    holt: float
    trend: float
    usual: float


class Experts:
    """Owns the levels of one demand; `features` [RUNGS, _FEATURES] are the regression's."""

    def __init__(self) -> None:
        self._season = Season()
        first = np.zeros(_FEATURES)
        first[1:3] = 0.3, 0.7
        self._regression = Regression(RUNGS, first)
        self._levels = np.zeros(3)  # exponential means of 180, 600 and 1,800 s
        self._begun = False
        self._holt, self._trend = 0.0, 0.0
        self._usual = 0.0

    @property
    def slow(self) -> float:
        """The mean of about half an hour; 0 before the first demand."""
        return float(self._levels[2])

    def resume(self) -> None:
        """Begin the levels and the trend anew; the day and what was learnt of outcomes stay."""
        self._begun = False
        self._levels[:] = 0.0
        self._trend = 0.0

    def memorise(self, memo: Memo) -> None:
        """Hand over all of it."""
        self._season.memorise(memo)
        self._regression.memorise(memo)
        memo.figures(self._levels)
        self._begun = bool(memo.whole(self._begun))
        self._holt, self._trend = memo.real(self._holt) or 0.0, memo.real(self._trend) or 0.0
        self._usual = memo.real(self._usual) or 0.0

    @property
    def levels(self) -> Levels:
        """Where the levels and the trend are now."""
        return Levels(self._levels.copy(), self._holt, self._trend, self._usual)

    @levels.setter
    def levels(self, found: Levels) -> None:
        self._levels, (_, self._holt, self._trend, self._usual) = found[0].copy(), found

    def add(self, now: float, value: float) -> None:
        """Take in the mean demand of the tick that ended at `now`."""
        self._season.add(now - TICK_SECONDS / 2, value)
        self.follow(value)

    def as_of(self, now: float) -> None:
        """Go by the usual day as it was known at the end of this tick, not by what came after."""
        self._season.as_of(now - TICK_SECONDS / 2)

    def follow(self, value: float) -> None:
        """Move the levels and the trend by the mean demand of one tick."""
        if not self._begun:
            self._begun = True
            self._levels += value
            self._holt, self._usual = value, self._usual or value
        self._levels += _SHARES * (value - self._levels)
        ahead = self._holt + _HOLT_DAMPING * self._trend
        level = ahead + _HOLT_LEVEL * (value - ahead)
        slope = _HOLT_DAMPING * self._trend
        self._trend = slope + _HOLT_TREND * (level - self._holt - slope)
        self._holt = level
        self._usual += _USUAL_SHARE * (self.slow - self._usual)

    def rewind(self, values: Sequence[float]) -> None:
        """Go back to before these demands, so that following them leads to the levels of now.

        Nearly: the usual size then follows from that of now, since each demand moves it by a share;
        of the levels nothing that was before is left.
        """
        now = self.levels
        self.resume()
        for value in values:
            self.follow(value)
        missed = (now.usual - self._usual) / (1.0 - _USUAL_SHARE) ** len(values)
        self._usual = max(0.0, now.usual + missed)
        self.resume()

    def learn(self, features: Figures, outcome: float, known: NDArray[np.bool_]) -> None:
        """Teach the regression what came of the features made for each rung, where `known`."""
        self._regression.learn(features, float(self._root(np.array(outcome))), known)

    def predict(self, now: float, last: float) -> tuple[Figures, Figures]:
        """Return predictions [experts, RUNGS] and the features that the regression's came from."""
        fast, middle, slow = self._levels.tolist()
        times = now + LADDER_SECONDS
        usual = self._season.at(np.concatenate(([now], times)))
        here, then = float(usual[0]), usual[1:]
        level = _bounded(middle / here) if here > 0 else 1.0
        ratio = np.clip(then / here, 1 / _MOST_RATIO, _MOST_RATIO) if here > 0 else np.ones(RUNGS)
        ratio = np.where(np.isfinite(ratio), ratio, 1.0)
        season = np.where(np.isfinite(then), then * level, middle)
        peaks = self._season.peaks_at(times)
        peak = np.where(np.isfinite(peaks), peaks * level, middle)
        features = self._features(last, fast, middle, slow, here, then, times)
        regression = np.clip(self._regression.predict(features), 0.0, None) ** 2 * self._scale
        damped = _HOLT_DAMPING * (1 - _HOLT_DAMPING**LADDER_TICKS) / (1 - _HOLT_DAMPING)
        predictions = np.stack(
            (
                np.full(RUNGS, last),
                np.full(RUNGS, fast),
                np.full(RUNGS, middle),
                np.maximum(0.0, self._holt + self._trend * damped),
                fast * ratio,
                season,
                np.clip(regression, _CLIP_LOW * fast, _CLIP_HIGH * fast),
                peak,
                np.maximum(fast, peak),
            )
        )
        return predictions, features

    @property
    def _scale(self) -> float:
        return self._usual + 1e-9

    def _root(self, value: Figures) -> Figures:
        return np.sqrt(np.maximum(value, 0.0) / self._scale)

    def _features(  # noqa: PLR0917 - one row, in the order of its columns
        self,
        last: float,
        fast: float,
        middle: float,
        slow: float,
        here: float,
        then: Figures,
        times: Figures,
    ) -> Figures:
        rows = np.ones((RUNGS, _FEATURES))
        known_here = here if math.isfinite(here) else middle
        rows[:, 1:5] = self._root(np.array([last, fast, middle, slow]))
        rows[:, 5] = self._root(np.where(np.isfinite(then), then, middle))
        rows[:, 6] = self._root(np.array(known_here))
        phase = 2.0 * math.pi * times / _DAY_SECONDS
        rows[:, 7], rows[:, 8] = 0.3 * np.sin(phase), 0.3 * np.cos(phase)
        return rows


def _bounded(ratio: float) -> float:
    return min(max(ratio, 1 / _MOST_RATIO), _MOST_RATIO)
