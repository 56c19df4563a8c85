"""The peers' rules do what their sources say, on loads that show it."""

from __future__ import annotations

import itertools

from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Autoscaler
from adapter.replay.peers import Apa, Phpa, Wva
from adapter.replay.play import play
from adapter.replay.pods import Pods
from adapter.replay.policies import POLICIES
from adapter.replay.seen import Seen
from tests.adapter.replay.worlds import trace, workload

# Two a second and ten at a time a pod.
WORKLOAD = workload(60.0, concurrency=10.0, max_replicas=20)
CHAIN = Chain(0.0)


def decided(
    scaler: Autoscaler, *, ready: int, running: float, waiting: float = 0.0, loading: int = 0
) -> int:
    """The decision after five minutes of the same."""
    seen = Seen(trace([running / 5] * 60), WORKLOAD)
    pods = Pods(ready, itertools.repeat(999.0))
    pods.scale(ready + loading, 0.0)
    for _ in range(60):
        seen.note(waiting=waiting, running=running, ready=ready)
    return scaler.decide(seen, pods, 300.0)


def test_apa_scales_by_usage_over_target_and_at_most_doubles() -> None:
    assert decided(Apa(WORKLOAD, 0.5, CHAIN), ready=4, running=30.0) == 6
    assert decided(Apa(WORKLOAD, 0.5, CHAIN), ready=4, running=40.0, waiting=60.0) == 8
    assert decided(Apa(WORKLOAD, 0.5, CHAIN), ready=4, running=21.0) == 4
    assert decided(Apa(WORKLOAD, 0.5, CHAIN), ready=4, running=1.0) == 2


def test_wva_goes_one_up_when_cache_or_queue_is_short_and_nothing_starts() -> None:
    assert decided(Wva(WORKLOAD, CHAIN), ready=4, running=30.0) == 5
    assert decided(Wva(WORKLOAD, CHAIN), ready=4, running=24.0, waiting=9.0) == 5
    assert decided(Wva(WORKLOAD, CHAIN), ready=4, running=40.0, waiting=99.0, loading=1) == 5


def test_wva_goes_one_down_only_where_the_others_have_to_spare() -> None:
    assert decided(Wva(WORKLOAD, CHAIN), ready=4, running=20.0) == 3
    assert decided(Wva(WORKLOAD, CHAIN), ready=4, running=24.0) == 4
    assert decided(Wva(WORKLOAD, CHAIN), ready=1, running=0.0) == 1


def test_phpa_draws_a_rise_out_to_the_end_of_a_cold_start() -> None:
    """One pod more every two minutes, a start of a minute: half a pod ahead."""
    scaler, wishes = Phpa(WORKLOAD, 1.0, CHAIN), list[int]()
    seen = Seen(trace([at / 60 for at in range(200)]), WORKLOAD)
    pods = Pods(1, itertools.repeat(60.0))
    for step in range(200):
        seen.note(waiting=0.0, running=0.0, ready=1)
        if step % 3 == 2:
            wishes.append(scaler.decide(seen, pods, 5.0 * (step + 1)))
    assert wishes[-1] == 3  # 1.66 pods now, and the line goes on
    assert sorted(wishes) == wishes


def test_crane_asks_today_for_the_hour_that_was_yesterday() -> None:
    """A rush from noon to one; on the second day its pods are there an hour before."""
    day = [4.0] * (12 * 720) + [16.0] * 720 + [4.0] * (11 * 720)
    load = trace([*day, *day])
    make, _ = POLICIES["crane"]
    found = play(load, WORKLOAD, make(WORKLOAD, 0.9, CHAIN)).replicas
    noon = 12 * 720
    assert found[noon - 120] == 3
    assert found[len(day) + noon - 120] == 10
