"""The HPAs' checks by what stands in them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from adapter.doctor.facts import GPU, QUEUE, Facts, Seen
from adapter.doctor.finding import Level
from adapter.model.target import DESIRED_REPLICAS
from tests.adapter.doctor.healthy import (
    GPU_RESOURCE,
    facts,
    found,
    object_metric,
    pods_metric,
    refused,
    start,
    the,
    with_hpa,
)

INFLIGHT = "llm_inference_inflight_requests"
PASS, WARN = Level.PASS, Level.WARN


def external(**labels: str) -> dict[str, Any]:
    selector = {"matchLabels": labels}
    target = {"type": "AverageValue", "averageValue": "8"}
    return {
        "type": "External",
        "external": {"metric": {"name": INFLIGHT, "selector": selector}, "target": target},
    }


def resource(percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": GPU_RESOURCE["resource"] | {"target": target}}


@pytest.mark.parametrize(
    ("metric", "level"),
    [
        (pods_metric(GPU, "80"), PASS),
        (pods_metric(GPU, "0.8"), WARN),
        (pods_metric(GPU, "800m"), WARN),
        (pods_metric(GPU, "101"), WARN),
        (pods_metric(GPU, "99E"), WARN),
        (pods_metric("nvidia_gpu_tensor_activity", "4"), PASS),  # a busy server may be there
        (pods_metric("nvidia_gpu_dram_activity", "0.4"), WARN),
        (pods_metric(QUEUE, "500"), PASS),
        (pods_metric("somebody_elses", "0.8"), PASS),
        (object_metric(GPU, "Service", "s", target="Value", agg="mean"), WARN),  # 8 percent
        (object_metric(GPU, "Service", "s", target="Value"), PASS),  # a total
        (resource(100), PASS),
        (resource(120), WARN),
    ],
)
def test_a_percentage_is_asked_for_as_one(metric: dict[str, Any], level: Level) -> None:
    assert the("hpa-units", with_hpa(metric, pods_metric())).level is level


def test_the_queue_alone_is_warned_of() -> None:
    assert the("hpa-pending", with_hpa(pods_metric())).level is WARN
    assert the("hpa-pending", with_hpa(pods_metric(INFLIGHT))).level is PASS
    assert the("hpa-pending", with_hpa(pods_metric(), pods_metric(GPU, "80"))).level is PASS


@pytest.mark.parametrize(
    ("metric", "level"),
    [
        (object_metric(INFLIGHT, "Service", "gw", target="Value"), WARN),
        (object_metric(INFLIGHT, "Service", "gw", target="Value", agg="mean"), PASS),
        (object_metric(INFLIGHT, "Service", "gw", target="Value", agg="sum"), WARN),
        (object_metric(INFLIGHT, "Service", "gw"), PASS),
        (object_metric("llm_inference_queue_time_seconds", "Service", "gw", target="Value"), PASS),
        (object_metric("somebody_elses", "Service", "gw", target="Value"), PASS),
        (object_metric(DESIRED_REPLICAS, "Deployment", "llm", target="Value"), WARN),
        (object_metric(DESIRED_REPLICAS, "Deployment", "llm"), PASS),
    ],
)
def test_a_total_is_no_value(metric: dict[str, Any], level: Level) -> None:
    assert the("hpa-values", with_hpa(metric, pods_metric())).level is level


@pytest.mark.parametrize(
    ("down", "level"),
    [
        (None, PASS),
        ({"stabilizationWindowSeconds": 0}, WARN),
        ({"stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"}, PASS),
        ({"stabilizationWindowSeconds": 300}, PASS),
    ],
)
def test_an_hpa_that_does_not_wait_is_warned_of(down: dict[str, Any] | None, level: Level) -> None:
    behavior = None if down is None else {"scaleDown": down}
    assert the("hpa-lulls", with_hpa(behavior=behavior)).level is level


@pytest.mark.parametrize(
    ("down", "learnt", "words"),
    [
        ({"stabilizationWindowSeconds": 120}, 119.0, None),
        ({"stabilizationWindowSeconds": 120}, None, None),
        ({"stabilizationWindowSeconds": 120}, 200.0, "a lull of 120 s, and half of its starts"),
        ({}, 299.0, None),
        ({}, 480.5, "a lull of 300 s, and half of its starts took 480 s"),
        ({"selectPolicy": "Disabled"}, 480.0, None),
    ],
)
def test_an_hpa_that_waits_less_than_a_learnt_start_is_told_how_long_to_wait(
    down: dict[str, Any], learnt: float | None, words: str | None
) -> None:
    given = with_hpa(behavior={"scaleDown": down})
    one = msgspec.structs.replace(given.scaled["default", "llm"], start=Seen(start(learnt)))
    seen = the("hpa-lulls", msgspec.structs.replace(given, scaled={("default", "llm"): one}))
    if words is None:
        assert seen.level is PASS
    else:
        assert words in seen.seen
        wanted = {200.0: 240, 480.5: 540}[learnt or 0.0]
        assert seen.hint == f"behavior.scaleDown.stabilizationWindowSeconds: {wanted}"


@pytest.mark.parametrize(
    ("least", "metric", "level"),
    [
        (0, object_metric(INFLIGHT, "Service", "gateway"), PASS),
        (0, object_metric(INFLIGHT, "Deployment", "llm"), WARN),
        (0, object_metric("jobs_waiting", "Deployment", "llm"), PASS),
        (0, external(workload="llm"), WARN),
        (0, external(workload="gateway", kind="Service"), PASS),
        (1, object_metric(INFLIGHT, "Deployment", "llm"), PASS),
    ],
)
def test_an_hpa_that_nothing_wakes_is_warned_of(
    least: int, metric: dict[str, Any], level: Level
) -> None:
    assert the("hpa-zero", with_hpa(metric, pods_metric(), minReplicas=least)).level is level


@pytest.mark.parametrize(
    "check", ["hpa-units", "hpa-pending", "hpa-values", "hpa-lulls", "hpa-zero"]
)
def test_hpas_that_may_not_be_listed_are_told_of_once_and_elsewhere(check: str) -> None:
    hidden: Facts = facts(hpas=refused())
    assert found(check, hidden) == []
    assert the("hpa-status", hidden).level is Level.UNKNOWN
