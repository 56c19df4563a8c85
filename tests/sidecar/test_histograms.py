"""Owns the proof that buckets are added bound by bound or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.samples import Sample

from sidecar.histograms import merge
from sidecar.wire import Histogram


def buckets(engine: str, counts: dict[str, float]) -> list[Sample]:
    return [Sample("x_bucket", {"engine": engine, "le": le}, n) for le, n in counts.items()]


def test_two_series_with_the_same_bounds_are_added() -> None:
    one = buckets("0", {"0.5": 1, "1.0": 2, "+Inf": 3})
    two = buckets("1", {"+Inf": 30, "1": 20, "0.5": 10})
    found = merge(one + two, 4.5)
    assert found == Histogram(bounds=(0.5, 1.0), counts=(11.0, 22.0, 33.0), sum=4.5)


def test_series_with_different_bounds_are_refused() -> None:
    one = buckets("0", {"0.5": 1, "+Inf": 3})
    assert merge(one + buckets("1", {"0.7": 1, "+Inf": 3}), None) is None


def test_a_histogram_without_its_last_bucket_or_with_falling_counts_is_refused() -> None:
    assert merge(buckets("0", {"0.5": 1, "1.0": 3}), None) is None
    assert merge(buckets("0", {"0.5": 5, "+Inf": 3}), None) is None
    assert merge(buckets("0", {"nan": 1, "+Inf": 3}), None) is None
    assert merge(buckets("0", {"half": 1, "+Inf": 3}), None) is None


def test_more_buckets_than_a_frame_can_carry_are_refused() -> None:
    many = {str(n): float(n) for n in range(200)} | {"+Inf": 200.0}
    assert merge(buckets("0", many), None) is None


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_counts_never_fall_and_are_one_more_than_the_bounds(steps: list[int]) -> None:
    counts = {str(n): float(sum(steps[: n + 1])) for n in range(len(steps))}
    found = merge(buckets("0", counts | {"+Inf": float(sum(steps))}), None)
    assert found is not None
    assert len(found.counts) == len(found.bounds) + 1
    assert list(found.counts) == sorted(found.counts)
