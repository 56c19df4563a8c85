"""The window: rings by the second and by ten seconds, carried forward."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.batch import Batch, Column, ModelState, Point, Reading
from adapter.model.catalogue import Stat, View
from adapter.model.columns import Ring
from adapter.model.rings import COARSE_SLOTS, FINE_SLOTS
from adapter.model.views import look
from adapter.model.window import FrozenWindow, Window


def reading(at: float, value: float, uid: str = "u", series: str = "pending") -> Reading:
    return Reading(uid, at, 2.0, ModelState.READY, (Point(series, at, value),))


def level(frozen: FrozenWindow, seconds: int) -> float:
    rows = np.array([row_of(frozen)])
    return float(look(View(Stat.MEAN, seconds), frozen, rows).levels[0])


def row_of(frozen: FrozenWindow, uid: str = "u", series: str = "pending") -> int:
    return frozen.rows[uid, series]


def fine(frozen: FrozenWindow, uid: str = "u") -> Ring:
    return frozen.fine.of(np.array([row_of(frozen, uid)]), FINE_SLOTS)[0]


def coarse(frozen: FrozenWindow) -> Ring:
    return frozen.coarse.of(np.array([row_of(frozen)]), COARSE_SLOTS)[0]


def fed(values: dict[int, float], until: int) -> FrozenWindow:
    """Feed one value per second of `values`, ticking every second up to `until`."""
    window = Window(hold_seconds=1000, rows=1)
    for second in range(min(values), until + 1):
        readings = (reading(second + 0.1, values[second]),) if second in values else ()
        window.append(Batch(readings), second + 0.2)
    return window.freeze()


def test_the_newest_value_stands_in_the_last_column() -> None:
    frozen = fed({100: 1.0, 101: 2.0, 102: 7.0}, 102)
    assert fine(frozen)[-3:].tolist() == [1.0, 2.0, 7.0]
    assert frozen.last_value[row_of(frozen)] == 7.0
    assert frozen.last_at[row_of(frozen)] == pytest.approx(102.1)


def test_before_the_first_reading_there_is_nothing_not_zero() -> None:
    frozen = fed({100: 5.0}, 103)
    assert np.isnan(fine(frozen)[:-4]).all()
    assert fine(frozen)[-4:].tolist() == [5.0] * 4


def test_a_quiet_source_is_carried_forward_beyond_the_minute() -> None:
    frozen = fed({100: 4.0}, 100 + 3 * FINE_SLOTS)
    assert fine(frozen).tolist() == [4.0] * FINE_SLOTS


def test_a_ten_second_step_is_the_time_weighted_mean_with_the_last_value_held() -> None:
    # 0 for three seconds of the step 110..119, then 10 for seven: mean 7.
    frozen = fed({100: 0.0, 113: 10.0}, 120)
    assert coarse(frozen)[-1] == pytest.approx(7.0)


def test_coarse_steps_stay_for_ten_minutes() -> None:
    frozen = fed({1000: 3.0, 1100: 6.0}, 1000 + 10 * COARSE_SLOTS)
    assert coarse(frozen)[0] == 3.0
    assert coarse(frozen)[-1] == 6.0


def test_forgotten_pods_leave_no_value_for_the_next_user_of_the_row() -> None:
    window = Window(rows=1)
    window.append(Batch((reading(10.0, 9.0, "old"),)), 10.0)
    window.forget(())
    window.append(Batch((reading(12.0, 1.0, "new"),)), 12.0)
    frozen = window.freeze()
    assert set(frozen.rows) == {("new", "pending")}
    assert np.nanmax(fine(frozen, "new")) == 1.0


def test_a_frozen_window_does_not_change_when_the_rings_go_on() -> None:
    window = Window()
    window.append(Batch((reading(10.0, 9.0),)), 10.0)
    frozen = window.freeze()
    window.append(Batch((reading(11.0, 1.0),)), 11.0)
    assert frozen.last_value[row_of(frozen)] == 9.0
    assert fine(frozen)[-1] == 9.0


def test_rows_grow_and_keep_their_values() -> None:
    window = Window(rows=2)
    window.append(Batch(tuple(reading(10.0, float(n), f"u{n}") for n in range(50))), 10.0)
    frozen = window.freeze()
    assert [frozen.last_value[row_of(frozen, f"u{n}")] for n in range(50)] == list(range(50))


def test_an_older_point_never_replaces_a_newer_one() -> None:
    window = Window()
    window.append(Batch((reading(20.0, 5.0), reading(19.0, 1.0))), 20.0)
    frozen = window.freeze()
    assert frozen.last_value[row_of(frozen)] == 5.0


def test_a_reading_from_the_future_counts_as_of_now() -> None:
    window = Window()
    window.append(Batch((reading(99.0, 5.0),)), 20.0)
    frozen = window.freeze()
    assert frozen.last_at[row_of(frozen)] == 20.0


def test_history_fills_past_steps_and_overwrites_nothing_live() -> None:
    window = Window()
    past = (Column("pending", 995.0, 10.0, (46.0, 47.0, 48.0, 49.0, 50.0)),)
    window.append(Batch((reading(1000.0, 7.0),)), 1000.0)
    told = Reading("u", 1001.0, 2.0, ModelState.READY, (), history=past)
    window.append(Batch((told,)), 1001.0)
    frozen = window.freeze()
    assert coarse(frozen)[-5:].tolist() == [46.0, 47.0, 48.0, 49.0, 50.0]
    assert fine(frozen)[-1] == 7.0
    assert frozen.last_value[row_of(frozen)] == 7.0


def test_history_fills_every_second_of_its_steps() -> None:
    window = Window()
    past = (Column("pending", 995.0, 10.0, (20.0, 90.0)),)  # 980 to 990 and 990 to 1000
    window.append(Batch((Reading("u", 1003.0, 2.0, ModelState.READY, (), history=past),)), 1003.0)
    frozen = window.freeze()
    # By the second: ten of 20, ten of 90, and the last one held up to now.
    assert fine(frozen)[-24:-4].tolist() == [20.0] * 10 + [90.0] * 10
    assert fine(frozen)[-4:].tolist() == [90.0] * 4


def test_history_alone_is_no_present_value() -> None:
    window = Window()
    past = (Column("pending", 995.0, 10.0, (50.0,)),)
    window.append(Batch((Reading("u", 1000.0, 2.0, ModelState.READY, (), history=past),)), 1000.0)
    frozen = window.freeze()
    assert math.isnan(frozen.last_at[row_of(frozen)])


def test_history_of_before_this_clock_began_is_left_out() -> None:
    window = Window()
    past = (Column("pending", 15.0, 10.0, (7.0, None, 9.0)),)  # at -5, 5 and 15 seconds
    window.append(Batch((Reading("u", 21.0, 2.0, ModelState.READY, (), history=past),)), 21.0)
    frozen = window.freeze()
    assert coarse(frozen)[-1] == 9.0
    assert np.isnan(coarse(frozen)[:-1]).all()


def test_what_was_carried_through_a_silence_longer_than_the_hold_is_forgotten() -> None:
    window = Window(hold_seconds=60)
    for second in range(100, 131):
        window.append(Batch((reading(float(second), 500.0),)), float(second))
    for second in range(131, 431):
        window.append(Batch(), float(second))
    window.append(Batch((reading(431.0, 0.0),)), 431.0)
    frozen = window.freeze()
    assert level(frozen, 60) == 0.0
    assert np.nanmax(coarse(frozen)) == 500.0  # what was read ten minutes ago
    assert np.isnan(coarse(frozen)[-29:]).all()
    window.append(Batch((reading(441.0, 0.0),)), 441.0)
    later = window.freeze()
    assert coarse(later)[-1] == 0.0


def test_a_silence_within_the_hold_is_bridged() -> None:
    window = Window(hold_seconds=60)
    window.append(Batch((reading(100.0, 8.0),)), 100.0)
    for second in range(101, 141):
        window.append(Batch(), float(second))
    window.append(Batch((reading(141.0, 2.0),)), 141.0)
    frozen = window.freeze()
    assert fine(frozen)[-3:].tolist() == [8.0, 8.0, 2.0]


def test_a_pause_longer_than_the_rings_leaves_nothing() -> None:
    window = Window()
    window.append(Batch((reading(10.0, 9.0),)), 10.0)
    window.append(Batch(), 10.0 + 601)
    frozen = window.freeze()
    assert np.isnan(fine(frozen)).all()


@given(st.dictionaries(st.integers(0, 150), st.floats(0, 1e6, width=32), min_size=1))
def test_the_mean_equals_the_hand_written_one(values: dict[int, float]) -> None:
    first, until = min(values), 160
    frozen = fed(values, until)
    held: list[float] = []
    last = math.nan
    for second in range(first, until + 1):
        last = values.get(second, last)
        held.append(last)
    recent = held[-30:]
    expected = sum(recent) / len(recent)
    assert level(frozen, 30) == pytest.approx(expected, rel=1e-5, abs=1e-6)
