"""Knative's autoscaler scales on the stable window and never down while it panics."""

from __future__ import annotations

import itertools

from adapter.replay.answers import Chain
from adapter.replay.kpa import Kpa
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen
from tests.adapter.replay.worlds import trace, workload

# Concurrency 10 a pod: the target is 7.
WORKLOAD = workload(pod_rate=10.0, concurrency=10.0)


def decisions(inflight: list[float], *, pods: int, unknown: tuple[int, ...] = ()) -> list[int]:
    """One decision after each step of 5 s, with the same ready pods throughout."""
    seen = Seen(trace([0.0] * len(inflight), unknown=unknown), WORKLOAD)
    kpa, found = Kpa(WORKLOAD, Chain(0.0)), []
    for step, figure in enumerate(inflight):
        seen.note(waiting=0.0, running=figure, ready=pods)
        held = Pods(pods, itertools.repeat(60.0))
        found.append(kpa.decide(seen, held, 5.0 * (step + 1)))
    return found


def test_in_calm_the_stable_window_decides() -> None:
    assert decisions([28.0] * 15, pods=3)[-1] == 4


def test_a_burst_is_answered_by_the_panic_window_at_once() -> None:
    assert decisions([14.0] * 12 + [70.0], pods=2)[-1] == 10


def test_in_panic_it_never_scales_down() -> None:
    found = decisions([14.0] * 12 + [70.0, 0.0, 0.0], pods=2)
    assert found[-2:] == [10, 10]


def test_it_leaves_panic_a_stable_window_after_the_last_crossing() -> None:
    found = decisions([14.0] * 12 + [70.0] + [14.0] * 14, pods=2)
    assert found[-1] == 2


def test_one_step_down_is_at_most_a_half() -> None:
    assert decisions([0.0] * 15, pods=8)[-1] == 4


def test_blind_it_leaves_things_as_they_are() -> None:
    assert decisions([0.0] * 3, pods=8, unknown=(2,))[-1] == 8
