"""A restarted replica forecasts as the one that lived, at any time of a day, or says why not.

On a synthetic day; what the windows tell of the time between a checkpoint and the restart comes as
ten-second means, at steps that are not those of the half-minutes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from adapter.model.forecast import Forecaster, Published
from adapter.model.foreseen import Doubt
from adapter.model.remembered import recall, remember
from adapter.model.seam import BRIEF_SECONDS, LONG_SECONDS
from tests.adapter.model.day import BEGIN, DAY_SECONDS, Figures, demand, trailing

HORIZONS = (60.0, 180.0, 300.0, 600.0, 1_200.0, 1_800.0)
WINDOW_SECONDS = 15  # of requests in flight
LEARNT_SECONDS = DAY_SECONDS + 2 * 3_600
WATCHED_SECONDS = 2_400
GAPS = (0, 20, 50, 120, 300, 600)


class Restart(NamedTuple):
    """The checkpoint is of `at`, the first reading of `at + gap`, seconds from the first day on."""

    at: int
    gap: int
    told: bool  # whether windows tell of the gap


class Answer(NamedTuple):
    """One of the restarted replica beside that of the one that lived, so many seconds after."""

    restart: Restart
    seconds: int
    present: float
    ours: Published
    theirs: Published

    @property
    def apart(self) -> float:
        return abs(self.ours.value / self.theirs.value - 1.0)


class Replica:
    """One that is restarted: it remembers, is away, and goes on."""

    def __init__(self, values: Figures, restart: Restart) -> None:
        self._values = values
        self.restart = restart
        self._packed: bytes | None = None
        self._forecaster: Forecaster | None = None

    def answers(self, second: int, lived: Forecaster, seen: Figures) -> list[Answer]:
        """Live through this second, after the one that lived did; answer every half-minute."""
        if second == self.restart.at:
            self._packed = remember(lived)
        passed = second - self.restart.at - self.restart.gap
        if self._packed is None or not 0 <= passed <= WATCHED_SECONDS:
            return []
        now, present = BEGIN + second, float(seen[second - 1])
        if self._forecaster is None:
            self._forecaster = recall(self._packed, now)
            assert self._forecaster is not None
            self._catch_up(self._forecaster)
        self._forecaster.observe(now, present)
        if passed % 30:
            return []
        pairs = (
            [one.publish(present, h, now) for one in (self._forecaster, lived)] for h in HORIZONS
        )
        return [Answer(self.restart, passed, present, *pair) for pair in pairs]

    def _catch_up(self, forecaster: Forecaster) -> None:
        """Take in ten-second means, which begin at any second."""
        at, gap, told = self.restart
        steps = (np.arange(at + gap) + at % 7) // 10
        means = (np.bincount(steps, self._values[: at + gap]) / np.bincount(steps))[steps]
        seen = trailing(means, WINDOW_SECONDS)
        for second in range(at + 5, at + gap, 5) if told else ():
            forecaster.observe(BEGIN + second, float(seen[second - 1]))


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    """Return those of eight hours of restarts, after a day and two hours that all learnt."""
    dice = np.random.default_rng(5)
    values = demand(LEARNT_SECONDS + 8 * 3_600, 5, noise=0.3, noise_seconds=30.0)
    seen = trailing(values, WINDOW_SECONDS)
    last = len(seen) - WATCHED_SECONDS - max(GAPS)
    replicas = [
        Replica(values, Restart(int(dice.integers(LEARNT_SECONDS, last)) // 5 * 5, gap, told))
        for gap in GAPS
        for told in (True, gap == 0)
    ]
    lived, found = Forecaster(), []
    for second in range(5, len(seen), 5):
        lived.observe(BEGIN + second, float(seen[second - 1]))
        for one in replicas:
            found += one.answers(second, lived, seen)
    return found


def test_where_windows_tell_of_the_gap_every_answer_is_within_a_hundredth(
    answers: list[Answer],
) -> None:
    told = [one for one in answers if one.restart.told]
    assert {one.restart.gap for one in told} == set(GAPS)
    assert max(one.apart for one in told if one.ours.doubt is one.theirs.doubt) < 0.01
    assert sum(one.ours.doubt is None for one in told) > 0.8 * len(told)
    # A limit of doubt is crossed a step apart, now and then.
    assert sum(one.ours.doubt is not one.theirs.doubt for one in told) < 0.002 * len(told)


def test_where_nobody_tells_the_present_value_is_served_with_the_reason_until_it_heals(
    answers: list[Answer],
) -> None:
    for one in answers:
        if one.restart.told or one.seconds >= felt(one.restart):
            continue
        assert one.ours.doubt is Doubt.YOUNG
        assert one.ours.value == one.present
        assert "nobody told what came before" in one.ours.why or one.seconds < 30


def test_what_it_missed_is_still_felt_by_a_tenth_at_most_after_that(answers: list[Answer]) -> None:
    healed = [one for one in answers if not one.restart.told and one.seconds >= felt(one.restart)]
    brief = [one.apart for one in healed if one.restart.gap <= 30 and one.ours.doubt is None]
    assert max(brief) < 0.02
    assert 0.01 < max(one.apart for one in healed if one.ours.doubt is None) < 0.10


def felt(restart: Restart) -> float:
    return BRIEF_SECONDS if restart.gap <= 30 else LONG_SECONDS
