"""A target says what one pod carries; the replicas are the total divided by it, rounded up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.catalogue import METRICS
from adapter.model.hpa import reconcile
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Member
from adapter.model.hpa_policy import Kind, parse
from adapter.model.target import DEMANDS, MOST_REPLICAS, Target, strictest
from adapter.model.target import parse as parse_target

INFLIGHT = DEMANDS["inflight"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("inflight=16", Target(INFLIGHT, 16_000)),
        ("arrival_rate=0.5", Target("llm_inference_arrival_rate", 500)),
        ("gpu=80", Target("nvidia_gpu_utilization", 80_000)),
        ("inflight=1500m", Target(INFLIGHT, 1_500)),
    ],
)
def test_a_target_names_a_demand_and_what_a_pod_carries_of_it(text: str, wanted: Target) -> None:
    assert parse_target(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "16", "inflight", "inflight=", "inflight=0", "inflight=-1", "gpu=1e400"]
)
def test_a_target_that_is_none_gets_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write one of inflight=NUMBER, arrival_rate=NUMBER"):
        parse_target(text)


@given(st.text(max_size=200))
def test_whatever_is_written_is_a_target_above_nothing_or_an_error_in_words(text: str) -> None:
    found = told = None
    try:
        found = parse_target(text)
    except ValueError as error:
        told = str(error)
    assert told.startswith("write one of") if told else found is not None and found.milli > 0


def test_every_demand_has_a_total() -> None:
    assert [METRICS[name].totals for name in DEMANDS.values()] == [True, True, True]


def test_of_pods_that_disagree_the_lowest_target_of_each_metric_counts() -> None:
    gpu = Target(DEMANDS["gpu"], 80_000)
    targets = (Target(INFLIGHT, 16_000), None, gpu, Target(INFLIGHT, 8_000))
    assert set(strictest(targets)) == {Target(INFLIGHT, 8_000), gpu}
    assert strictest((None, None)) == ()


def after(replicas: int, total: int, *, tolerance: str | None) -> int:
    """What the HPA of the example makes of a total, at a target of 16 a pod."""
    milli = Target(INFLIGHT, 16_000).replicas(total * 1_000) * 1_000
    direction = {} if tolerance is None else {"tolerance": tolerance}
    metric = {"name": "forescale_desired_replicas"}
    target = {"type": "AverageValue", "averageValue": "1"}
    manifest = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "llm"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "llm"},
            "maxReplicas": 100,
            "metrics": [{"type": "Object", "object": {"metric": metric, "target": target}}],
            "behavior": {
                "scaleUp": direction,
                "scaleDown": {"stabilizationWindowSeconds": 0, **direction},
            },
        },
    }
    members = [Member(f"pod-{n}") for n in range(replicas)]
    policy = parse(manifest, tuple(Kind))
    found = reconcile(
        policy, History(), current=replicas, members=members, answers=(milli,), now=1_000.0
    )
    return found.replicas


@pytest.mark.parametrize("replicas", [10, 20, 30])
def test_a_tenth_more_is_within_the_usual_tolerance_and_moves_only_without_it(
    replicas: int,
) -> None:
    """10 to 11, 20 to 22 and 30 to 33: the controller takes each for no change at all."""
    more = replicas * 11 // 10
    assert after(replicas, 16 * more, tolerance=None) == replicas
    assert after(replicas, 16 * more, tolerance="0") == more
    assert after(replicas, 16 * (replicas + 1), tolerance="0") == replicas + 1


@given(st.integers(1, 40), st.integers(1, 600))
def test_without_tolerance_the_hpa_takes_the_replicas_whatever_runs(
    replicas: int, total: int
) -> None:
    """The total is published undiminished, and starting pods count as replicas: one sync is enough,
    and the next one with the same total, all of them starting or ready, changes nothing."""
    wanted = math.ceil(total / 16)
    reached = after(replicas, total, tolerance="0")
    # The scale-up policy of the controller: at most double or four more at once.
    assert reached == min(wanted, max(2 * replicas, replicas + 4))
    if reached == wanted:
        assert after(wanted, total, tolerance="0") == wanted


@given(st.integers(0, 9 * 10**15), st.integers(1, 10**9))
def test_no_target_asks_for_more_than_an_hpa_can_count(total: int, milli: int) -> None:
    found = Target(INFLIGHT, milli).replicas(total)
    assert 0 <= found <= MOST_REPLICAS < 2**31 // 1_000
    assert found * milli >= total or found == MOST_REPLICAS
    assert (found - 1) * milli < total
