"""Histograms of a frame: usable ones become Buckets, the others are told in words."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.histograms import MAX_BOUNDS, buckets
from adapter.model.batch import Buckets
from sidecar import wire

SERIES = "time_to_first_token_seconds"


def frame(
    histogram: wire.Histogram, state: wire.EngineState = wire.EngineState.READY
) -> wire.Frame:
    engine = wire.EngineReading("vllm", state, hist={SERIES: histogram, "another": histogram})
    return wire.Frame(1, "b", 1, 2.0, age_seconds=wire.Ages(engine=0.5), engine=engine)


def read(sent: wire.Frame) -> tuple[dict[str, Buckets], dict[str, str]]:
    unusable: dict[str, str] = {}
    return buckets(sent, 100.0, unusable), unusable


def test_a_histogram_comes_with_the_time_of_its_reading() -> None:
    found, unusable = read(frame(wire.Histogram((0.1, 1.0), (3.0, 5.0, 5.0), 9.0)))
    assert found == {SERIES: Buckets(99.5, (0.1, 1.0), (3.0, 5.0, 5.0))}
    assert unusable == {}


@pytest.mark.parametrize(
    ("bounds", "counts", "words"),
    [
        ((), (1.0,), "0 bounds and 1 counts"),
        ((0.1,), (1.0,), "1 bounds and 1 counts"),
        (tuple(float(n) for n in range(1, 99)), (1.0,) * 99, "98 bounds and 99 counts"),
        ((1.0, 0.1), (1.0, 2.0, 3.0), "do not ascend"),
        ((0.1, 0.1), (1.0, 2.0, 3.0), "do not ascend"),
        ((-1.0, 0.1), (1.0, 2.0, 3.0), "do not ascend"),
        ((0.1, 1e9), (1.0, 2.0, 3.0), "do not ascend"),
        ((0.1, 1.0), (3.0, 2.0, 3.0), "do not add up"),
        ((0.1, 1.0), (-3.0, 2.0, 3.0), "do not add up"),
        ((0.1, 1.0), (1.0, 2.0, 1e300), "do not add up"),
        ((0.1, 1.0), (1.0, math.nan, 3.0), "do not add up"),
    ],
)
def test_a_histogram_that_is_none_is_told_in_words(
    bounds: tuple[float, ...], counts: tuple[float, ...], words: str
) -> None:
    found, unusable = read(frame(wire.Histogram(bounds, counts)))
    assert found == {}
    assert words in unusable[SERIES]


def test_a_histogram_without_an_age_or_of_a_failing_engine_is_left_out() -> None:
    good = wire.Histogram((0.1,), (1.0, 2.0))
    assert read(frame(good, wire.EngineState.FAILING)) == ({}, {})
    ageless = wire.Frame(1, "b", 1, 2.0, engine=frame(good).engine)
    assert read(ageless)[1] == {SERIES: "its source does not say how old this is"}


figures = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(figures, max_size=70).map(tuple), st.lists(figures, max_size=71).map(tuple))
def test_whatever_a_tenant_sends_only_histograms_get_through(
    bounds: tuple[float, ...], counts: tuple[float, ...]
) -> None:
    found, unusable = read(frame(wire.Histogram(bounds, counts)))
    assert set(found) | set(unusable) == {SERIES}
    for one in found.values():
        assert 0 < len(one.bounds) <= MAX_BOUNDS
        assert list(one.bounds) == sorted(set(one.bounds))
        assert all(before <= after for before, after in itertools.pairwise(one.counts))
        assert 0 <= one.counts[0] <= one.counts[-1] <= 2**53
