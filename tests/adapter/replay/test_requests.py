"""Single requests go to the pod with the fewest, wait in its queue and are never lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.replay.pods import Pods
from adapter.replay.requests import Requests
from tests.adapter.replay.worlds import requests, trace, workload


def played(times: list[float], ready: list[int]) -> Requests:
    found = Requests(requests(times), workload())
    pods = Pods(ready[0], itertools.repeat(0.0))
    for step in range(len(ready)):
        pods.scale(ready[step], float(step))
        pods.advance(float(step))
        found.play(step, pods)
    return found


def test_a_pod_serves_two_at_a_time_and_the_third_waits_for_the_first_to_end() -> None:
    found = played([0.0, 0.1, 0.2, 0.3], [1, 1]).waits()
    assert found.seconds == pytest.approx([0, 0, 0.8, 0.8])


def test_requests_are_spread_over_the_pods() -> None:
    found = played([0.3, 0.4, 0.5, 0.6, 0.7], [2])
    assert (found.running, found.waiting) == (4.0, 1.0)


def test_a_new_pod_takes_none_of_what_waits_elsewhere() -> None:
    found = played([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.5], [1, 2, 2, 2])
    assert found.waits().seconds == pytest.approx([0, 0, 1, 1, 2, 2, 0])


def test_a_removed_pod_finishes_what_it_has() -> None:
    found = played([0.0, 0.0, 0.0, 0.0, 1.1], [2, 1, 1])
    assert found.waits().seconds.max() == 0.0


def test_requests_without_a_ready_pod_wait_for_the_first_one() -> None:
    found = played([0.5, 2.5], [0, 0, 1])
    assert found.waits().seconds == pytest.approx([1.5, 0.0])


def test_a_request_that_never_meets_a_pod_waits_longer_than_the_trace() -> None:
    assert played([0.5], [0]).waits().seconds[0] > 1.0


def test_a_trace_of_counts_has_no_single_requests() -> None:
    with pytest.raises(ValueError, match="no single requests"):
        Requests(trace([1.0]), workload())


@given(
    st.lists(st.floats(0, 9.9), min_size=1, max_size=40),
    st.lists(st.integers(0, 4), min_size=10, max_size=10),
)
def test_every_request_has_a_wait(times: list[float], ready: list[int]) -> None:
    queue = played(sorted(times), ready)
    found = queue.waits()
    assert len(found.seconds) == len(times)
    assert (found.seconds >= 0).all()
    assert queue.running <= 2 * sum(ready)
