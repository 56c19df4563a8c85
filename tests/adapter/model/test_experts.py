"""Each expert says what its name promises."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from adapter.model.experts import LADDER_SECONDS, NAMES, RUNGS, TICK_SECONDS, Experts

DAY = 86_400.0


def told(shape: Callable[[float], float], seconds: float) -> dict[str, list[float]]:
    """The predictions of each expert after so many seconds of a demand."""
    experts = Experts()
    now = 0.0
    while now < seconds:
        now += TICK_SECONDS
        experts.add(now, shape(now))
    predictions, features = experts.predict(now, shape(now))
    assert features.shape == (RUNGS, 9)
    assert np.isfinite(predictions).all()
    return dict(zip(NAMES, predictions.tolist(), strict=True))


def test_of_a_steady_demand_all_say_the_same() -> None:
    for name, found in told(lambda _: 50.0, 7_200).items():
        assert found == pytest.approx([50.0] * RUNGS, rel=0.02), name


def test_nothing_at_all_is_predicted_as_nothing() -> None:
    assert all(found == [0.0] * RUNGS for found in told(lambda _: 0.0, 7_200).values())


def test_after_a_step_the_last_minute_is_there_first() -> None:
    found = told(lambda now: 100.0 if now > 7_020 else 50.0, 7_200)
    assert found["last"][0] == 100.0
    assert found["ewma-180"][0] == pytest.approx(100 - 50 / math.e, rel=0.01)
    assert found["ewma-600"][0] == pytest.approx(100 - 50 * math.exp(-0.3), rel=0.01)


def test_the_trend_goes_on_and_is_damped() -> None:
    found = told(lambda now: now / 36, 7_200)["trend"]  # 50 an hour... from 0 to 200
    assert found[0] < found[1] < found[2]
    ahead = found[-1] - 200.0
    assert 0 < ahead < 1_800 / 36


def test_the_season_knows_the_rush_of_every_day() -> None:
    """Half an hour before noon of the third day; twice as much from noon on."""
    found = told(lambda now: 100.0 if 12 <= now % DAY / 3600 < 14 else 50.0, 2 * DAY + 11.6 * 3600)
    noon = int(np.searchsorted(LADDER_SECONDS, 1_800))
    assert found["last"][noon] == pytest.approx(50.0)
    for name in ("season-ratio", "season", "season-peak", "level-or-peak"):
        assert found[name][noon] == pytest.approx(100.0, rel=0.1), name


def test_the_season_is_taken_at_todays_level() -> None:
    found = told(lambda now: 50.0 if now < DAY else 100.0, 1.5 * DAY)
    assert found["season"][3] == pytest.approx(100.0, rel=0.02)


def test_going_back_and_through_the_demands_again_leads_to_where_it_was() -> None:
    experts, demands = Experts(), [50.0 + 30.0 * math.sin(n / 20) for n in range(900)]
    for value in demands:
        experts.follow(value)
    before = experts.levels
    experts.rewind(demands[-240:])
    for value in demands[-240:]:
        experts.follow(value)
    assert experts.levels.usual == pytest.approx(before.usual, rel=1e-3)
    assert experts.levels.means[:2] == pytest.approx(before.means[:2], rel=1e-4)
