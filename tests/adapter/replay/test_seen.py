"""A policy sees means over windows, late, and nothing of a gap."""

from __future__ import annotations

import pytest

from adapter.replay.seen import Seen, Series
from tests.adapter.replay.worlds import trace, workload


def seen(*rates: float, unknown: tuple[int, ...] = ()) -> Seen:
    found = Seen(trace(rates, unknown=unknown), workload())
    for step in range(len(rates)):
        found.note(waiting=float(step), running=2.0, ready=2)
    return found


def test_a_mean_is_over_the_whole_window() -> None:
    found = seen(1.0, 2.0, 6.0)
    assert found.mean(Series.ARRIVALS, 10.0, now=15.0) == 4.0
    assert found.mean(Series.ARRIVALS, 60.0, now=15.0) == 3.0  # no more is known
    assert found.mean(Series.ARRIVALS, 0.0, now=15.0) == 6.0


def test_a_reading_is_seen_once_its_delay_has_passed() -> None:
    found = seen(1.0, 2.0, 6.0)
    assert found.mean(Series.ARRIVALS, 0.0, now=15.0, delay_seconds=2.0) == 2.0
    assert found.mean(Series.ARRIVALS, 0.0, now=15.0, delay_seconds=5.0) == 2.0
    assert found.mean(Series.ARRIVALS, 0.0, now=4.0) is None


def test_a_gap_has_no_reading() -> None:
    found = seen(1.0, 2.0, 6.0, unknown=(1,))
    assert found.mean(Series.ARRIVALS, 0.0, now=10.0) is None
    assert found.mean(Series.ARRIVALS, 0.0, now=15.0) == 6.0


def test_totals_add_up_over_the_pods() -> None:
    found = seen(1.0, 2.0, 6.0)
    assert found.mean(Series.INFLIGHT, 0.0, now=15.0) == 4.0
    assert found.mean(Series.GPU, 0.0, now=15.0) == pytest.approx(100.0)  # two pods at half load
    assert found.mean(Series.READY, 0.0, now=15.0) == 2.0
