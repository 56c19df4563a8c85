"""The metrics API of a replay answers what an adapter would have answered."""

from __future__ import annotations

import itertools

from adapter.model.hpa import Answer
from adapter.model.hpa_policy import Metric, PodsMetric, ResourceMetric, TotalMetric, ValueMetric
from adapter.replay.answers import Chain, answer, known
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen
from tests.adapter.replay.worlds import trace, workload

NOW = 10.0
INFLIGHT = "llm_inference_inflight_requests"


def asked(metric: Metric, *, gap: bool = False, delay: float = 0.0, today: bool = False) -> Answer:
    """Two pods with one request each in service and one waiting, a third that loads."""
    seen = Seen(trace([1.0, 1.0], unknown=(1,) if gap else ()), workload())
    pods = Pods(2, itertools.repeat(60.0))
    pods.scale(3, 0.0)
    for _ in range(2):
        seen.note(waiting=2.0, running=2.0, ready=2)
    return answer(metric, seen, pods, Chain(delay, raw=today, loading_is_zero=today), NOW)


def test_pods_that_load_have_no_value() -> None:
    assert asked(PodsMetric(INFLIGHT, 1)) == {"pod-1": 2_000, "pod-2": 2_000}


def test_todays_chain_sees_pods_that_load_as_idle() -> None:
    values = asked(PodsMetric("nvidia_gpu_utilization", 1), today=True)
    assert values == {"pod-1": 50_000, "pod-2": 50_000, "pod-3": 0}


def test_a_total_is_one_figure() -> None:
    assert asked(TotalMetric(INFLIGHT, 1)) == 4_000
    assert asked(TotalMetric("llm_inference_arrival_rate", 1)) == 1_000


def test_a_value_is_the_total_unless_it_is_asked_for_per_pod() -> None:
    assert asked(ValueMetric(INFLIGHT, 1)) == 4_000
    for selector in ("agg=mean", "agg in (max),stat=raw"):
        assert asked(ValueMetric(INFLIGHT, 1, selector)) == 2_000


def test_the_gpu_resource_is_counted_in_gpus() -> None:
    assert asked(ResourceMetric("nvidia.com/gpu", 80)) == {"pod-1": 500, "pod-2": 500}


def test_a_gap_is_an_error_and_not_a_zero() -> None:
    assert asked(PodsMetric(INFLIGHT, 1), gap=True) == "no reading: the trace has a gap here"


def test_the_window_of_a_view_is_taken_from_the_selector() -> None:
    seen = Seen(trace([4.0, 0.0]), workload())
    pods = Pods(1, itertools.repeat(60.0))
    for _ in range(2):
        seen.note(waiting=0.0, running=0.0, ready=1)
    rate = "llm_inference_arrival_rate"
    for selector, milli in (("stat=raw", 0), ("window=15s", 2_000), ("window in (15s)", 2_000)):
        assert answer(TotalMetric(rate, 1, selector), seen, pods, Chain(0.0), NOW) == milli


def test_what_a_trace_does_not_tell_is_unknown() -> None:
    assert known(ResourceMetric("nvidia.com/gpu", 80))
    assert known(TotalMetric(INFLIGHT, 1))
    assert not known(ResourceMetric("cpu", 70))
    assert known(TotalMetric(f"{INFLIGHT}_forecast", 1))
    assert not known(TotalMetric("llm_inference_pending_requests_forecast", 1))
    assert not known(PodsMetric("llm_inference_kv_cache_utilization", 1))
