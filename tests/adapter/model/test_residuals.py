"""The margin covers the share that it is to cover, and is as wide as the hour is restless."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.model.experts import LADDER_TICKS, RUNGS, TICK_SECONDS
from adapter.model.forecast import WARM_UP_SECONDS
from adapter.model.residuals import Residuals

KNOWN = np.array([True])
TAU = 0.95


def fed(sizes: list[float], seed: int = 1) -> tuple[Residuals, list[bool]]:
    """Log-normal residuals of these sizes; whether the margin of before covered each one."""
    dice, found, covered = np.random.default_rng(seed), Residuals((1,), TAU, 30.0), []
    for size in sizes:
        then = found.size
        residual = size * dice.standard_normal(1)
        covered.append(bool(residual[0] <= np.log(found.margin(then)[0])))
        found.learn(residual, then, KNOWN)
    return found, covered


def test_the_share_that_is_covered_is_tau() -> None:
    _, covered = fed([0.1] * 12_000)
    assert np.mean(covered[3_000:]) == pytest.approx(TAU, abs=0.01)


def test_the_margin_is_wide_in_a_restless_hour_and_narrow_in_a_quiet_one() -> None:
    """Twelve hours quiet, twelve restless: both are covered alike."""
    sizes = ([0.05] * 1_440 + [0.25] * 1_440) * 6
    _, covered = fed(sizes)
    quiet = [covered[day + 480 : day + 1_440] for day in range(2_880, len(sizes), 2_880)]
    restless = [covered[day + 1_920 : day + 2_880] for day in range(2_880, len(sizes), 2_880)]
    assert np.mean(quiet) == pytest.approx(TAU, abs=0.05)
    assert np.mean(restless) == pytest.approx(TAU, abs=0.05)


def test_it_begins_with_the_margin_of_a_tenth() -> None:
    fresh = Residuals((1,), TAU, 30.0)
    assert fresh.margin(fresh.size)[0] == pytest.approx(np.exp(0.206))


def test_what_is_not_known_teaches_nothing() -> None:
    found, _ = fed([0.1] * 500)
    before = found.quantile.copy(), found.size.copy()
    for _ in range(500):
        found.learn(np.array([9.0]), found.size, np.array([False]))
    assert (found.quantile, found.size) == before


def test_no_margin_is_wider_than_its_cap() -> None:
    found, _ = fed([50.0] * 2_000)
    assert found.margin(found.size)[0] == pytest.approx(np.exp(1.5))


def test_a_day_later_the_old_residuals_are_gone() -> None:
    found, _ = fed([0.5] * 2_880 + [0.05] * 6_000)
    assert np.log(found.margin(found.size)[0]) == pytest.approx(0.05 * 1.645, rel=0.2)


def first_guesses(after_seconds: float) -> list[bool]:
    """Of each horizon: whether its margin still is the one that it began with."""
    found, dice = Residuals((RUNGS,), TAU, TICK_SECONDS), np.random.default_rng(1)
    fresh = found.quantile.copy()
    for tick in range(round(after_seconds / TICK_SECONDS)):
        residual = 0.3 * dice.standard_normal(RUNGS)
        found.learn(residual, found.size, tick >= LADDER_TICKS)
    return (found.quantile == fresh).tolist()


def test_after_the_warm_up_and_not_long_before_no_margin_is_the_first_guess() -> None:
    assert not any(first_guesses(WARM_UP_SECONDS))
    assert first_guesses(0.85 * WARM_UP_SECONDS)[-1], "the longest horizon needs nearly all of it"
