"""The formulas: each against the plain one, its step response, and zero that stays zero."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.smooth import (
    carry_forward,
    ewma,
    highest,
    histogram_quantile,
    mean,
    quantile,
)

SHARES = (0.5, 0.9, 0.95, 0.99)
ONE = np.ones(60)
known = st.one_of(st.none(), st.floats(0, 1e6, width=32))


def row(values: list[float | None]) -> np.ndarray:
    return np.array([[math.nan if v is None else v for v in values]], dtype=np.float32)


def step(before: int, after: int) -> np.ndarray:
    return np.concatenate([np.zeros(before), np.ones(after)]).reshape(1, -1)


@given(st.lists(st.one_of(st.none(), st.floats(0, 100, width=32)), min_size=1, max_size=60))
def test_carry_forward_equals_the_hand_written_one(values: list[float | None]) -> None:
    row = np.array([[math.nan if v is None else v for v in values]], dtype=np.float32)
    expected: list[float] = []
    last = math.nan
    for value in values:
        last = last if value is None else value
        expected.append(last)
    np.testing.assert_array_equal(carry_forward(row)[0], np.array(expected, dtype=np.float32))


@pytest.mark.parametrize("share", SHARES)
def test_zero_all_through_is_exactly_zero_in_every_formula(share: float) -> None:
    zeros = np.zeros((1, 60), dtype=np.float32)
    uneven = np.linspace(1, 10, 60)
    assert mean(zeros, ONE)[0] == 0.0
    assert ewma(zeros, uneven, 15)[0] == 0.0
    assert highest(zeros)[0] == 0.0
    assert quantile(zeros, ONE, share)[0] == 0.0
    assert quantile(zeros, uneven, share)[0] == 0.0


def test_the_step_response_of_the_mean_is_linear() -> None:
    assert [mean(step(60 - n, n), ONE)[0] for n in (0, 15, 30, 60)] == [0.0, 0.25, 0.5, 1.0]


def test_the_step_response_of_the_ewma_is_half_after_one_half_life() -> None:
    assert ewma(step(400, 15), np.ones(415), 15)[0] == pytest.approx(0.5, abs=1e-6)
    assert ewma(step(40, 2), np.full(42, 10.0), 20)[0] == pytest.approx(0.5, abs=1e-3)


def test_the_ewma_of_a_short_memory_ends_with_it() -> None:
    expected = (1 - 2 ** (-300 / 600)) / (1 - 2 ** (-600 / 600))
    assert ewma(step(300, 300), np.ones(600), 600)[0] == pytest.approx(expected, rel=1e-3)


def test_the_step_response_of_the_maximum_is_at_once_up_and_late_down() -> None:
    assert highest(step(59, 1))[0] == 1.0
    assert highest(1 - step(1, 59))[0] == 1.0
    assert highest(1 - step(0, 60))[0] == 0.0


@pytest.mark.parametrize("share", SHARES)
def test_a_quantile_steps_up_after_the_rest_of_the_window(share: float) -> None:
    rest = round((1 - share) * 200)
    assert quantile(step(200 - rest, rest), np.ones(200), share)[0] == 0.0
    assert quantile(step(200 - rest - 1, rest + 1), np.ones(200), share)[0] == 1.0


@given(
    st.lists(st.tuples(known, st.floats(0.5, 10)), min_size=1, max_size=60),
    st.sampled_from(SHARES),
)
def test_a_quantile_is_that_of_numpy_weighted_by_time(
    columns: list[tuple[float | None, float]], share: float
) -> None:
    values, seconds = row([v for v, _ in columns]), np.array([w for _, w in columns])
    found = quantile(values, seconds, share)[0]
    have = ~np.isnan(values[0])
    if not have.any():
        assert math.isnan(found)
        return
    held, weights = values[0][have], seconds[have]
    # Where the share falls on the border of two columns, rounding may choose either.
    borders = [
        np.quantile(held, s, method="inverted_cdf", weights=weights)
        for s in (share - 1e-8, share, share + 1e-8)
    ]
    assert found in borders


@given(st.lists(known, min_size=1, max_size=60), st.sampled_from(SHARES))
def test_a_quantile_of_equal_columns_is_that_of_numpy(
    values: list[float | None], share: float
) -> None:
    found = quantile(row(values), np.full(len(values), 10.0), share)[0]
    have = [v for v in values if v is not None]
    if have:
        held = np.array(have, dtype=np.float32)
        # The place itself: 0.95 of 20 is the nineteenth, whatever a float makes of 0.95 x 20.
        assert found == np.sort(held)[math.ceil(len(held) * round(share * 100) / 100 - 1e-6) - 1]
    else:
        assert math.isnan(found)


@given(st.lists(known, min_size=1, max_size=60), st.floats(0.5, 60))
def test_every_level_lies_between_the_extremes_or_is_unknown(
    values: list[float | None], half_life: float
) -> None:
    found, seconds = row(values), np.ones(len(values))
    have = [v for v in values if v is not None]
    levels = [
        ewma(found, seconds, half_life)[0],
        mean(found, seconds)[0],
        highest(found)[0],
        *(quantile(found, seconds, share)[0] for share in SHARES),
    ]
    for level in levels:
        if have:
            assert min(have) * (1 - 1e-6) <= level <= max(have) * (1 + 1e-6)
        else:
            assert math.isnan(level)


def test_unknown_columns_count_for_nothing() -> None:
    values = row([None, 2.0, None, 6.0])
    seconds = np.array([5.0, 3.0, 5.0, 1.0])
    assert mean(values, seconds)[0] == 3.0
    assert quantile(values, seconds, 0.5)[0] == 2.0
    assert highest(values)[0] == 6.0


BOUNDS = np.array([0.1, 0.5, 1.0])


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([10.0, 10.0, 10.0, 10.0], 0.5, 0.05),  # evenly from 0
        ([0.0, 10.0, 20.0, 20.0], 0.5, 0.5),
        ([0.0, 10.0, 20.0, 20.0], 0.75, 0.75),
        ([0.0, 0.0, 0.0, 7.0], 0.5, 1.0),  # above the highest finite bound
        ([5.0, 8.0, 9.0, 10.0], 0.95, 1.0),
        ([0.0, 4.0, 3.0, 8.0], 0.5, 0.5),  # a fall is taken as none
        ([0.0, 0.0, 0.0, 0.0], 0.95, math.nan),
    ],
)
def test_a_quantile_of_buckets_is_that_of_prometheus(
    counts: list[float], share: float, expected: float
) -> None:
    found = histogram_quantile(BOUNDS, np.array([counts]), share)[0]
    assert found == pytest.approx(expected, nan_ok=True)


@given(
    st.lists(st.floats(0.001, 100), min_size=1, max_size=20, unique=True),
    st.lists(st.integers(0, 1000), min_size=1, max_size=21),
    st.sampled_from(SHARES),
)
def test_a_quantile_of_buckets_lies_in_the_bucket_that_holds_it(
    bounds: list[float], observed: list[int], share: float
) -> None:
    upper = np.array(sorted(bounds))
    counts = np.cumsum((observed + [0] * len(upper))[: len(upper) + 1]).astype(float)
    found = histogram_quantile(upper, counts[np.newaxis], share)[0]
    if counts[-1] == 0:
        assert math.isnan(found)
        return
    bucket = int(np.argmax(counts >= share * counts[-1]))
    low = 0.0 if bucket == 0 else upper[min(bucket, len(upper)) - 1]
    assert low - 1e-9 <= found <= upper[min(bucket, len(upper) - 1)] + 1e-9
