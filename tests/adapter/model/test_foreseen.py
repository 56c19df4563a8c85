"""What is foreseen raises a total where it acts, and does nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from adapter.model.foreseen import CAREFUL, Doubt, Foreseen, Mode, after_silence

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


@given(values, values, st.floats(0.0, 1e9), st.sampled_from([None, *Doubt]), st.floats(0.0, 1e3))
def test_after_a_silence_nothing_is_above_what_was_and_nothing_below_what_is(
    before: float | None,
    value: float | None,
    most: float,
    doubt: Doubt | None,
    silent_seconds: float,
) -> None:
    at = 5_000.0
    was = after_silence(None, structs.replace(foreseen(Mode.ACT, before), at=at), most, 600.0)
    now = structs.replace(foreseen(Mode.OBSERVE, value), doubt=doubt, at=at + silent_seconds)
    found = after_silence(was, now, most, 600.0)
    assert found.mode is Mode.OBSERVE
    if found.value != value:
        assert doubt is Doubt.YOUNG
        assert silent_seconds <= 600.0
        assert before is not None
        assert found.value is not None
        assert 10.0 < found.value <= min(before, most)


def test_full_gpus_are_a_silence_too() -> None:
    young = structs.replace(foreseen(Mode.ACT, None), doubt=Doubt.YOUNG, at=100.0)
    full = structs.replace(foreseen(Mode.ACT, 15.5), doubt=Doubt.PINNED, at=95.0)
    assert after_silence(full, young, 30.0, 600.0).value == 15.5
    assert after_silence(structs.replace(full, value=None), young, 30.0, 600.0).value is None


def test_nothing_goes_on_with_a_forecast_of_nothing_alone() -> None:
    young = structs.replace(foreseen(Mode.ACT, None), present=0.0, doubt=Doubt.YOUNG, at=100.0)
    before = structs.replace(foreseen(Mode.ACT, 15.5), believed_at=95.0)
    assert after_silence(before, young, 16.0, 600.0).value is None
    asleep = structs.replace(before, present=0.0)
    assert after_silence(asleep, young, 16.0, 600.0).value == 15.5
