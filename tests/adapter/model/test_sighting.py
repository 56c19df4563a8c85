"""What a pod's status says of its start, and what it cannot say."""

from __future__ import annotations

import msgspec

from adapter.model.sighting import Key, Sighting, Start, observed, stuck

KEY = Key("default", "Deployment/llm", "abc")
NOW = 100_000.0


def pod(age: float, **fields: object) -> Sighting:
    return msgspec.structs.replace(Sighting("uid-1", "llm-1", KEY, NOW - age), **fields)


def test_a_pod_that_served_is_a_whole_start_with_its_phases() -> None:
    seen = pod(400, scheduled=NOW - 390, started=NOW - 330, ready=NOW - 130)
    assert observed(seen, NOW) == Start(
        270,
        ended=True,
        at=NOW - 130,
        uid="uid-1",
        node_seconds=10,
        pull_seconds=60,
        load_seconds=200,
    )


def test_a_phase_that_is_not_known_is_none_and_the_sum_still_counts() -> None:
    found = observed(pod(400, started=NOW - 330, ready=NOW - 130), NOW)
    assert found is not None
    assert (found.seconds, found.node_seconds, found.pull_seconds) == (270, None, None)


def test_a_pod_that_still_starts_takes_longer_than_it_did() -> None:
    assert observed(pod(90), NOW) == Start(90, ended=False, at=NOW, uid="uid-1")
    assert observed(pod(90, gone=NOW - 30), NOW) == Start(60, ended=False, at=NOW, uid="uid-1")


def test_after_a_restart_nobody_knows_the_first_ready() -> None:
    """The Ready condition carries the time of its last change, the sidecar its server's life."""
    assert observed(pod(4_000, ready=NOW - 3_000), NOW) is not None
    assert observed(pod(4_000, ready=NOW - 3_000, restarts=1), NOW) is None


def test_a_ready_that_flipped_days_later_is_no_start() -> None:
    assert observed(pod(90_000, ready=NOW - 10), NOW) is None


def test_a_phase_that_is_longer_than_the_start_is_none() -> None:
    """A node's clock is wrong: the container runs before the pod was created."""
    found = observed(pod(400, scheduled=NOW - 390, started=NOW - 900, ready=NOW - 130), NOW)
    assert found is not None
    assert (found.node_seconds, found.pull_seconds, found.load_seconds) == (10, None, None)


def test_a_clock_that_runs_backwards_is_no_start() -> None:
    assert observed(pod(90, ready=NOW - 100), NOW) is None
    assert observed(pod(-5), NOW) is None


def test_a_pod_that_served_before_it_crashed_is_not_stuck() -> None:
    assert stuck(pod(60, ready=NOW - 10, waiting_reason="CrashLoopBackOff"), NOW) is None
