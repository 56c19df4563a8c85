"""Totals and resources are proposals by the controller's other two rules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from adapter.errors import SettingsError
from adapter.model.hpa import reconcile
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Invalid, Member, Proposal, Tolerance, propose
from adapter.model.hpa_policy import (
    Kind,
    PodsMetric,
    Policy,
    ResourceMetric,
    TotalMetric,
    ValueMetric,
    parse,
)

QUEUE = TotalMetric("queue", 5_000)
GPU = ResourceMetric("nvidia.com/gpu", 80)


def pods(count: int) -> list[Member]:
    return [Member(f"pod-{n}") for n in range(count)]


def total(milli: int, current: int, *, metric: TotalMetric = QUEUE) -> Proposal:
    found = propose(metric, milli, pods(current), current, Tolerance())
    assert isinstance(found, Proposal), found
    return found


def gpu(values: dict[str, int], current: int) -> Proposal:
    found = propose(GPU, values, pods(current), current, Tolerance())
    assert isinstance(found, Proposal), found
    return found


def test_a_total_asks_for_what_it_needs_however_many_pods_are_ready() -> None:
    found = total(23_000, 3)
    assert (found.replicas, found.usage_milli) == (5, 7_667)
    assert found.why == "queue: 23 in total / 5 per pod -> 5"


def test_from_no_replicas_any_total_above_zero_is_at_least_one_and_zero_is_none() -> None:
    assert [total(milli, 0).replicas for milli in (0, 1, 5_000, 5_001)] == [0, 1, 1, 2]
    assert total(67, 0).why == "queue: 0.067 in total / 5 per pod -> 1"


def test_eight_pods_at_ninety_percent_of_eighty_are_nine() -> None:
    assert total(720_000, 8, metric=TotalMetric("gpu", 80_000)).replicas == 9


def test_a_total_within_the_tolerance_of_all_replicas_changes_nothing() -> None:
    found = total(16_500, 3)
    assert found.replicas == 3
    assert found.why.endswith("x 3 = 1.10, within 0.9 to 1.1 -> stays at 3")
    assert total(16_501, 3).replicas == 4


def test_a_total_of_nothing_asks_for_nothing() -> None:
    assert total(0, 3).replicas == 0


def value(milli: int, current: int, members: list[Member]) -> Proposal | Invalid:
    return propose(ValueMetric("load", 10_000), milli, members, current, Tolerance())


def test_a_value_is_multiplied_by_the_pods_that_run_and_are_ready() -> None:
    members = [*pods(2), Member("starting", "Pending"), Member("loading", ready=False)]
    found = value(15_000, 4, members)
    assert found == Proposal("load", 3, 15_000, "load: 15 / 10 = 1.50 x 2 ready pods -> 3")
    assert value(15_000, 4, [Member("loading", ready=False)]) == Proposal(
        "load", 0, 15_000, "load: 15 / 10 = 1.50 x 0 ready pods -> 0"
    )


def test_a_value_within_the_tolerance_stays_and_from_no_replicas_it_is_the_ratio() -> None:
    found = value(11_000, 4, [])
    assert found.why == "load: 11 / 10 = 1.10, within 0.9 to 1.1 -> stays at 4"
    assert value(11_001, 4, []) == Invalid("load", "load: the selector matches no pods")
    assert value(11_000, 0, []).why == "load: 11 / 10 = 1.10 -> 2"


def test_a_resources_utilisation_is_a_whole_percentage_of_the_request() -> None:
    assert gpu({"pod-0": 889, "pod-1": 889}, 2).replicas == 2  # 88 / 80 = 1.1
    found = gpu({"pod-0": 890, "pod-1": 890}, 2)
    assert (found.replicas, found.usage_milli) == (3, 890)
    assert found.why == "nvidia.com/gpu: 89 % of the request / 80 % = 1.11 x 2 pods -> 3"


def test_on_the_way_down_a_silent_pod_counts_as_its_whole_request() -> None:
    """Three at 20 % and one at 100 % are 40 % of four: 0.5 of the target, two pods."""
    found = gpu({f"pod-{n}": 200 for n in range(3)}, 4)
    assert found.replicas == 2
    assert "1 without a value counted as 1 = 0.50 x 4 pods -> 2" in found.why


def test_an_answer_of_the_other_shape_is_no_value() -> None:
    for metric, answer in ((QUEUE, {"pod-0": 1}), (ValueMetric("v", 1), {"pod-0": 1}), (GPU, 7)):
        found = propose(metric, answer, pods(1), 1, Tolerance())
        assert isinstance(found, Invalid)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (QUEUE, "FailedGetExternalMetric"),
        (TotalMetric("queue", 5_000, kind=Kind.OBJECT), "FailedGetObjectMetric"),
        (GPU, "FailedGetResourceMetric"),
    ],
)
def test_the_condition_names_the_kind_of_the_metric_that_failed(
    metric: TotalMetric | ResourceMetric, reason: str
) -> None:
    policy = Policy("hpa", "Deployment/d", 1, 10, (metric, PodsMetric("m", 1)))
    found = reconcile(
        policy, History(), current=2, members=pods(2), answers=("down", "down"), now=0.0
    )
    assert (found.replicas, found.active) == (2, reason)


def manifest(*metrics: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "llm"},
            "maxReplicas": 10,
            "metrics": list(metrics),
            **spec,
        },
    }


def average(value: str) -> dict[str, str]:
    return {"type": "AverageValue", "averageValue": value}


def test_every_kind_of_metric_is_read_where_it_is_wanted() -> None:
    metric = {"name": "queue", "selector": {"matchLabels": {"workload": "llm"}}}
    given = manifest(
        {"type": "External", "external": {"metric": metric, "target": average("5")}},
        {"type": "Object", "object": {"metric": metric, "target": average("5")}},
        {
            "type": "Resource",
            "resource": {
                "name": "nvidia.com/gpu",
                "target": {"type": "Utilization", "averageUtilization": 80},
            },
        },
        {"type": "Resource", "resource": {"name": "nvidia.com/gpu", "target": average("800m")}},
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "nvidia.com/gpu",
                "container": "llm",
                "target": {"type": "Utilization", "averageUtilization": 80},
            },
        },
        minReplicas=0,
    )
    assert parse(given, tuple(Kind)).metrics == (
        TotalMetric("queue", 5_000, "workload=llm", Kind.EXTERNAL),
        TotalMetric("queue", 5_000, "workload=llm", Kind.OBJECT),
        GPU,
        PodsMetric("nvidia.com/gpu", 800, kind=Kind.RESOURCE),
        msgspec.structs.replace(GPU, kind=Kind.CONTAINER_RESOURCE),
    )
    with pytest.raises(SettingsError) as caught:
        parse(given)
    assert len(caught.value.problems) == 6


def test_a_target_of_type_value_is_refused_unless_it_is_wanted() -> None:
    target = {"type": "Value", "value": "5"}
    given = manifest({"type": "External", "external": {"metric": {"name": "q"}, "target": target}})
    assert parse(given, tuple(Kind), values=True).metrics == (ValueMetric("q", 5_000),)
    with pytest.raises(SettingsError) as caught:
        parse(given, tuple(Kind))
    assert caught.value.problems[0].endswith("target.type is `Value`: use AverageValue")


@pytest.mark.parametrize(("tolerance", "replicas"), [(None, 11), (Tolerance(0.0, 0.0), 10)])
def test_a_surge_pod_of_a_rollout_stays_for_good_unless_the_tolerance_is_nought(
    tolerance: Tolerance | None, replicas: int
) -> None:
    """The controller leaves replicas as the status has them where a total is within tolerance."""
    found = propose(QUEUE, 50_000, pods(11), 11, tolerance or Tolerance())
    assert isinstance(found, Proposal)
    assert found.replicas == replicas
