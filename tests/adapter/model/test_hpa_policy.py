"""An autoscaling/v2 manifest becomes a Policy, or all of its problems at once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import SettingsError
from adapter.model.hpa_policy import (
    SCALE_DOWN,
    SCALE_UP,
    Behavior,
    Change,
    ChangeType,
    PodsMetric,
    SelectPolicy,
    parse,
)


def pods_metric(name: str, average: object, **metric: object) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Pods", "pods": {"metric": {"name": name, **metric}, "target": target}}


def manifest(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "llm-inference-hpa"},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": "llm-inference-deployment",
            },
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [
                pods_metric("llm_inference_pending_requests", "5"),
                pods_metric("nvidia_gpu_utilization", "80"),
            ],
            **spec,
        },
    }


def problems(raw: object) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(raw)
    return caught.value.problems


def test_what_is_missing_whole_or_something_else_is_one_problem() -> None:
    usual = manifest()
    usual["spec"].pop("scaleTargetRef")
    assert problems(usual) == ("spec.scaleTargetRef is missing: write it with all that it needs",)
    usual.pop("spec")
    assert problems(usual) == ("spec is missing: write it with all that it needs",)
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}}
    assert problems(other) == ("kind is `Deployment`: use HorizontalPodAutoscaler",)


def test_the_usual_manifest_is_read_whole() -> None:
    policy = parse(manifest())
    assert policy.name == "llm-inference-hpa"
    assert policy.namespace == "default"
    assert policy.target == "Deployment/llm-inference-deployment"
    assert (policy.min_replicas, policy.max_replicas) == (1, 10)
    assert policy.metrics == (
        PodsMetric("llm_inference_pending_requests", 5_000),
        PodsMetric("nvidia_gpu_utilization", 80_000),
    )
    assert policy.behavior is None


def test_min_replicas_is_one_when_left_out() -> None:
    raw = manifest()
    del raw["spec"]["minReplicas"]
    assert parse(raw).min_replicas == 1


def test_a_number_counts_as_a_quantity_too() -> None:
    assert parse(manifest(metrics=[pods_metric("m", 5)])).metrics[0].target_milli == 5_000
    assert parse(manifest(metrics=[pods_metric("m", "2500m")])).metrics[0].target_milli == 2_500


def test_a_metric_selector_becomes_the_query_that_the_controller_sends() -> None:
    selector = {
        "matchLabels": {"stat": "ewma", "model": "a.b"},
        "matchExpressions": [
            {"key": "window", "operator": "In", "values": ["30s", "15s"]},
            {"key": "lora", "operator": "DoesNotExist"},
        ],
    }
    (metric,) = parse(manifest(metrics=[pods_metric("m", "5", selector=selector)])).metrics
    assert metric.selector == "!lora,model=a.b,stat=ewma,window in (15s,30s)"


def test_an_empty_behavior_fills_both_directions_with_the_defaults() -> None:
    assert parse(manifest(behavior={})).behavior == Behavior(SCALE_UP, SCALE_DOWN)


def test_a_given_direction_keeps_the_defaults_it_does_not_name() -> None:
    down = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}], "tolerance": "0.3"}
    behavior = parse(manifest(behavior={"scaleDown": down})).behavior
    assert behavior is not None
    assert behavior.up == SCALE_UP
    assert behavior.down.changes == (Change(ChangeType.PODS, 1, 60),)
    assert behavior.down.select is SelectPolicy.MAX
    assert behavior.down.window_seconds is None
    assert behavior.down.tolerance_ratio == 300 * 0.001


def test_a_window_of_zero_is_a_window_and_not_a_missing_one() -> None:
    behavior = parse(manifest(behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})).behavior
    assert behavior is not None
    assert behavior.down.window_seconds == 0


def test_every_problem_is_named_at_once_with_its_field_and_fix() -> None:
    found = problems(
        {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {},
            "spec": {
                "scaleTargetRef": {"kind": "Deployment"},
                "minReplicas": 3,
                "maxReplicas": 2,
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu"}},
                    pods_metric("", "0"),
                    {
                        "type": "Pods",
                        "pods": {"metric": {"name": "m"}, "target": {"type": "Value"}},
                    },
                ],
                "behavior": {
                    "scaleUp": {
                        "selectPolicy": "Most",
                        "policies": [{"type": "Pod", "value": 0, "periodSeconds": 1801}],
                        "stabilizationWindowSeconds": 3601,
                        "tolerance": "-0.1",
                    },
                    "scaleDown": {"policies": []},
                },
            },
        }
    )
    fields = {problem.split()[0] for problem in found}
    assert fields == {
        "apiVersion",
        "spec.scaleTargetRef.name",
        "spec.maxReplicas",
        "spec.metrics[0].type",
        "spec.metrics[1].pods.metric.name",
        "spec.metrics[1].pods.target.averageValue",
        "spec.metrics[2].pods.target.type",
        "spec.metrics[2].pods.target.averageValue",
        "spec.behavior.scaleUp.selectPolicy",
        "spec.behavior.scaleUp.policies[0].type",
        "spec.behavior.scaleUp.policies[0].value",
        "spec.behavior.scaleUp.policies[0].periodSeconds",
        "spec.behavior.scaleUp.stabilizationWindowSeconds",
        "spec.behavior.scaleUp.tolerance",
        "spec.behavior.scaleDown.policies",
    }
    assert all(":" in problem or "must" in problem for problem in found)


def test_zero_min_replicas_is_refused_since_pods_metrics_cannot_wake_a_workload() -> None:
    assert problems(manifest(minReplicas=0)) == (
        "spec.minReplicas is 0: that needs a metric of type Object or External",
    )


def test_a_manifest_without_metrics_is_refused() -> None:
    assert problems(manifest(metrics=[])) == (
        "spec.metrics is empty: name at least one metric of type Pods",
    )


def test_text_instead_of_a_manifest_is_refused_in_words() -> None:
    assert problems("nonsense")[0] == "the manifest is no object: give it fields of its own"


def test_an_unknown_selector_operator_is_refused() -> None:
    selector = {"matchExpressions": [{"key": "stat", "operator": "Near", "values": ["raw"]}]}
    (problem,) = problems(manifest(metrics=[pods_metric("m", "5", selector=selector)]))
    assert "spec.metrics[0].pods.metric.selector.matchExpressions[0].operator" in problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
PLACES = (
    ("kind",),
    ("metadata",),
    ("metadata", "name"),
    ("spec",),
    ("spec", "minReplicas"),
    ("spec", "maxReplicas"),
    ("spec", "metrics"),
    ("spec", "metrics", 0),
    ("spec", "metrics", 0, "pods"),
    ("spec", "metrics", 0, "pods", "metric"),
    ("spec", "metrics", 0, "pods", "metric", "selector"),
    ("spec", "metrics", 0, "pods", "target", "averageValue"),
    ("spec", "behavior"),
    ("spec", "behavior", "scaleUp"),
    ("spec", "scaleTargetRef"),
)


@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_in_a_manifest_it_is_a_policy_or_problems_in_words(
    place: tuple[str | int, ...], value: object
) -> None:
    whole: Any = copy.deepcopy(manifest(behavior={"scaleUp": {}}))
    inner = whole
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    try:
        policy = parse(whole)
    except SettingsError as error:
        told = error.problems
    else:
        told = ("none",)
        assert policy.metrics
        assert 0 < policy.min_replicas <= policy.max_replicas
    assert told


@given(JSON)
def test_what_is_no_manifest_at_all_is_refused_in_words(value: object) -> None:
    with pytest.raises(SettingsError):
        parse(value)
