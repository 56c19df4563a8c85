"""The liquid queue agrees with what can be worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.replay.fluid import Fluid
from adapter.replay.pods import Pods
from tests.adapter.replay.worlds import trace, workload


def played(rates: list[float], ready: list[int], rate: float = 2.0) -> Fluid:
    found = Fluid(trace(rates), workload(pod_rate=rate))
    for step, count in enumerate(ready):
        found.play(step, Pods(count, itertools.repeat(0.0)))
    return found


def test_below_capacity_nobody_waits() -> None:
    queue = played([2.0] * 6, [1] * 6)
    assert queue.waits().seconds.max() == pytest.approx(0.0, abs=1e-9)
    assert queue.running == 2.0  # two a second, one second each


def test_at_twice_the_capacity_the_wait_grows_a_second_a_second() -> None:
    """4/s at 2/s for 10 s: at the end 20 wait, for 10 s; then 2/s come and it stays so."""
    queue = played([4.0] * 2 + [2.0] * 4, [1] * 6)
    found = queue.waits()
    assert queue.waiting == 20.0
    late = found.seconds[found.arrived > 10]
    assert late == pytest.approx(np.full(len(late), 10.0))
    first = found.seconds[found.arrived < 10]
    assert first == pytest.approx(found.arrived[found.arrived < 10])


def test_a_queue_that_runs_dry_within_a_step_delays_no_later_request() -> None:
    """1/s for 5 s without a pod, then five pods at 2/s each: dry 5/9 s after the step's begin."""
    found = played([1.0, 1.0], [0, 5]).waits()
    after = found.arrived > 5.0 + 5 / 9
    assert found.seconds[after].max() == pytest.approx(0.0, abs=1e-9)
    assert found.seconds[0] == pytest.approx(5 - 0.625 + 0.625 / 10)


def test_what_waits_at_the_end_is_served_after_it() -> None:
    found = played([4.0, 4.0], [1, 1]).waits()
    assert found.seconds[-1] == pytest.approx(found.arrived[-1])


@given(
    st.lists(
        st.tuples(st.integers(0, 50_000).map(lambda n: n / 1000), st.integers(0, 9)),
        min_size=1,
        max_size=30,
    ),
)
def test_no_request_is_lost_and_none_is_served_before_it_came(
    steps: list[tuple[float, int]],
) -> None:
    rates, ready = [rate for rate, _ in steps], [count for _, count in steps]
    found = played(rates, ready).waits()
    assert found.weight.sum() == pytest.approx(sum(rates) * 5)
    assert (found.seconds >= 0).all()
    assert np.isfinite(found.seconds).all()
    left = (found.arrived + found.seconds)[found.weight > 0]
    assert (np.diff(left) >= -1e-6).all()  # first come, first served
