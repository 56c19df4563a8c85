"""What is foreseen raises a total where it acts, and does nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter.model.foreseen import CAREFUL, Foreseen, Mode

values = st.none() | st.floats(0.0, 1e9)


def foreseen(mode: Mode, value: float | None, present: float | None = 10.0) -> Foreseen:
    return Foreseen(mode, present, value, value, None, "90 s", "forecast")


def test_a_forecast_that_acts_raises_a_total_and_one_that_is_observed_does_not() -> None:
    assert foreseen(Mode.ACT, 15.5).raised(10_000) == 15_500
    assert foreseen(Mode.OBSERVE, 15.5).raised(10_000) == 10_000
    assert foreseen(Mode.ACT, None).raised(10_000) == 10_000


def test_nothing_is_raised_by_a_forecast_of_nothing_alone() -> None:
    assert foreseen(Mode.ACT, 16.0, present=0.0).raised(0) == 16_000
    assert foreseen(Mode.OBSERVE, 16.0, present=0.0).raised(0) == 0
    assert foreseen(Mode.ACT, None, present=0.0).raised(0) == 0
    assert foreseen(Mode.ACT, 16.0, present=None).raised(0) == 0


@given(st.sampled_from(Mode), values, st.integers(0, 10**12))
def test_no_total_is_lowered_and_one_that_has_become_nothing_is_nothing(
    mode: Mode, value: float | None, milli: int
) -> None:
    assert foreseen(mode, value).raised(milli) >= milli
    assert foreseen(mode, value).raised(0) == 0


def test_every_mode_has_its_place_among_the_careful_ones() -> None:
    assert sorted(CAREFUL) == sorted(Mode)
