"""The rings: what is held, what comes late, and what a backlog fills in."""

import math

import numpy as np
import pytest

from adapter.model.batch import Column
from adapter.model.columns import Ring
from adapter.model.rings import COARSE_SLOTS, FINE_SLOTS, Rings

ROW = np.array([0])


def hold(rings: Rings, second: int, value: float) -> None:
    rings.hold(ROW, np.array([second]), np.array([value]))


def spread(rings: Rings, since: float, until: float, mean: float, covered: float = 0.0) -> float:
    left = rings.spread(
        ROW, np.array([since]), np.array([until]), np.array([mean]), np.array([covered])
    )
    return float(left[0])


def fine(rings: Rings, row: int = 0) -> Ring:
    return rings.freeze()[0].of(np.array([row]), FINE_SLOTS)[0]


def coarse(rings: Rings) -> Ring:
    return rings.freeze()[1].of(ROW, COARSE_SLOTS)[0]


def of(start: int, until: int) -> Rings:
    rings = Rings(1)
    rings.advance(start)
    hold(rings, start, 1.0)
    rings.advance(until)
    return rings


def test_a_value_is_held_to_the_newest_second_and_on() -> None:
    rings = of(100, 105)
    assert fine(rings)[-6:].tolist() == [1.0] * 6
    assert np.isnan(fine(rings)[:-6]).all()


def test_a_late_value_overwrites_what_was_held_in_its_place() -> None:
    rings = of(100, 105)
    hold(rings, 103, 9.0)
    assert fine(rings)[-6:].tolist() == [1.0, 1.0, 1.0, 9.0, 9.0, 9.0]


def test_a_late_value_mends_the_mean_of_a_closed_step() -> None:
    rings = of(100, 112)
    assert coarse(rings)[-1] == 1.0
    hold(rings, 105, 3.0)  # five seconds of the step that ended at 110
    assert coarse(rings)[-1] == 2.0


def test_several_values_of_one_row_hold_until_the_next() -> None:
    rings = of(100, 106)
    rings.hold(np.array([0, 0]), np.array([102, 104]), np.array([5.0, 7.0]))
    assert fine(rings)[-7:].tolist() == [1.0, 1.0, 5.0, 5.0, 7.0, 7.0, 7.0]


def test_a_mean_over_parts_of_seconds_is_weighted_by_them() -> None:
    rings = Rings(1)
    rings.advance(105)
    left = spread(rings, 101.5, 103.25, 4.0)
    assert left == pytest.approx(0.25)
    assert spread(rings, 103.25, 105.0, 8.0, left) == 0.0
    assert fine(rings)[-5:].tolist() == [4.0, 4.0, 7.0, 8.0, 8.0]


def test_two_means_within_one_second_are_one() -> None:
    rings = Rings(1)
    rings.advance(100)
    left = spread(rings, 100.0, 100.5, 2.0)
    assert spread(rings, 100.5, 100.75, 8.0, left) == pytest.approx(0.75)
    assert fine(rings)[-1] == pytest.approx(4.0)


def test_a_mean_over_more_than_the_minute_fills_the_minute() -> None:
    rings = Rings(1)
    rings.advance(500)
    spread(rings, 100.0, 500.0, 3.0)
    assert fine(rings).tolist() == [3.0] * FINE_SLOTS
    assert coarse(rings)[-5:].tolist() == [3.0] * 5


def test_a_backlog_replaces_what_was_only_held() -> None:
    rings = of(1000, 1000)
    rings.advance(1030)
    rings.remember(0, Column("pending", 1015.0, 10.0, (1.0, 7.0, 7.0)), 1000.0)
    assert fine(rings)[-31:].tolist() == [1.0] + [7.0] * 30
    assert coarse(rings)[-3:].tolist() == [pytest.approx(6.4), 7.0, 7.0]


def test_a_backlog_of_what_was_read_changes_nothing() -> None:
    rings = of(1000, 1030)
    hold(rings, 1030, 2.0)
    rings.remember(0, Column("pending", 1015.0, 10.0, (5.0, 5.0)), 1030.0)
    assert fine(rings)[-31:].tolist() == [1.0] * 30 + [2.0]


def test_a_silence_is_forgotten_whole() -> None:
    rings = of(100, 300)
    rings.forget_since(0, 100.0)
    assert np.isnan(fine(rings)).all()
    assert np.isnan(coarse(rings)[-19:]).all()


def test_rows_are_added_and_cleared() -> None:
    rings = of(100, 101)
    rings.grow(1)
    rings.hold(np.array([1]), np.array([101]), np.array([5.0]))
    rings.clear(0)
    assert math.isnan(fine(rings)[-1])
    assert fine(rings, 1)[-1] == 5.0
