"""The HPAs' checks by what the cluster says of them."""

from __future__ import annotations

import msgspec
import pytest

from adapter.doctor.checks import diagnose
from adapter.doctor.facts import GPU, QUEUE, Scaled, Seen
from adapter.doctor.finding import Level
from tests.adapter.doctor.healthy import (
    GPU_RESOURCE,
    PODS,
    conditions,
    container,
    facts,
    found,
    hpa,
    object_metric,
    pod,
    pods_metric,
    refused,
    scaled,
    the,
    values,
    with_hpa,
)

CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}
WHY = "forescale why hpa/llm -n default"


@pytest.mark.parametrize(
    ("states", "level", "words"),
    [
        (
            {"ScalingActive": "False,FailedGetPodsMetric"},
            Level.FAIL,
            "FailedGetPodsMetric: so says",
        ),
        ({"AbleToScale": "False,FailedGetScale"}, Level.FAIL, "FailedGetScale: so says"),
        ({"ScalingActive": "False,ScalingDisabled"}, Level.WARN, "ScalingDisabled: so says"),
        ({"ScalingLimited": "True,TooManyReplicas"}, Level.WARN, "wants more than maxReplicas 9"),
        ({"ScalingLimited": "True,TooFewReplicas"}, Level.PASS, "1 HPA, scaling"),
        ({}, Level.WARN, "its controller has not looked at it yet"),
    ],
)
def test_the_conditions_of_an_hpa_are_told(
    states: dict[str, str], level: Level, words: str
) -> None:
    seen = the("hpa-status", facts(hpas=Seen([hpa() | {"status": conditions(**states)}])))
    assert seen.level is level
    assert seen.seen.removeprefix("default/llm: ").startswith(words)


def test_an_hpa_whose_target_is_not_there_is_one_finding_and_no_more() -> None:
    gone = Seen(refusal='deployments.apps "llm" not found', code=404)
    states = conditions(AbleToScale="False,FailedGetScale", ScalingActive="False,FailedGetScale")
    given = facts(
        hpas=Seen([hpa(pods_metric(), GPU_RESOURCE) | {"status": states}]),
        scaled={("default", "llm"): Scaled(gone, gone, (None, None))},
    )
    (only,) = [line for line in diagnose(given).lines if line.level is not Level.PASS]
    assert (only.check, only.level, only.seen) == (
        "hpa-status",
        Level.FAIL,
        'default/llm: its target Deployment llm is not there: deployments.apps "llm" not found',
    )
    assert only.hint == "kubectl -n default get Deployment; spec.scaleTargetRef names one of them"


def test_a_cluster_without_an_hpa_of_ours_is_told() -> None:
    assert "no HPA goes by a metric of ours" in the("hpa-status", facts(hpas=Seen([hpa(CPU)]))).seen
    hidden = facts(hpas=refused())
    assert the("hpa-status", hidden).level is Level.UNKNOWN
    assert the("hpa-status", hidden).hint.endswith("or name one of yours: -n NAMESPACE")
    assert found("hpa-conflicts", hidden) == []


def test_a_metric_that_is_refused_or_empty_is_a_failure_with_the_adapters_words() -> None:
    answers = (Seen(refusal="fewer than half of the pods are known", code=503), values())
    first, second = found("hpa-metrics", with_hpa(answers=answers))
    assert (first.level, first.hint) == (Level.FAIL, WHY)
    assert first.seen == f"default/llm: {QUEUE}: fewer than half of the pods are known"
    assert second.seen == f"default/llm: {GPU}: no value of any pod"


@pytest.mark.parametrize(
    ("metric", "words", "hint"),
    [
        (pods_metric(), "service unavailable", "mend `apiservices` and `adapter` first"),
        (GPU_RESOURCE, "404 page not found", "metrics.k8s.io has no server: docs/resource-"),
    ],
)
def test_a_group_without_a_server_is_mended_before_the_hpa(
    metric: dict[str, object], words: str, hint: str
) -> None:
    given = with_hpa(metric, answers=(Seen(refusal=words, code=503),))
    assert the("hpa-metrics", given).hint.startswith(hint)


def test_a_mistyped_name_of_ours_is_asked_for_and_told() -> None:
    given = with_hpa(
        pods_metric("llm_inference_pendin"), answers=(Seen(refusal="no such metric", code=404),)
    )
    assert the("hpa-metrics", given).seen == "default/llm: llm_inference_pendin: no such metric"


def test_metrics_of_pods_are_not_missed_while_there_is_no_pod() -> None:
    asleep = scaled(values(), Seen(refusal="no gateway", code=503), replicas=0)
    metrics = (pods_metric(), object_metric("llm_inference_inflight_requests", "Service", "gw"))
    given = msgspec.structs.replace(with_hpa(*metrics), scaled={("default", "llm"): asleep})
    assert [one.seen for one in found("hpa-metrics", given)] == [
        "default/llm: llm_inference_inflight_requests: no gateway"
    ]


def test_cpu_is_left_to_its_own_adapter() -> None:
    given = with_hpa(pods_metric(), CPU, answers=(values(*PODS), None))
    assert the("hpa-metrics", given).seen == "1 metric of HPAs, each with a value"


@pytest.mark.parametrize(
    ("usage", "level"),
    [({"cpu": "1"}, Level.FAIL), ({"cpu": "1", "nvidia.com/gpu": "800m"}, Level.PASS)],
)
def test_metrics_server_alone_has_no_gpus(usage: dict[str, str], level: Level) -> None:
    items = Seen({"items": [{"containers": [{"name": "llm", "usage": usage}]}]})
    assert the("hpa-metrics", with_hpa(GPU_RESOURCE, answers=(items,))).level is level


@pytest.mark.parametrize(
    ("spec", "level"),
    [
        ({}, Level.PASS),
        ({"containers": [container("llm"), container("log", gpus=None)]}, Level.FAIL),
        ({"initContainers": [container("log", gpus=None, restartPolicy="Always")]}, Level.FAIL),
        ({"initContainers": [container("load", gpus=None)]}, Level.PASS),
        (
            {
                "containers": [container("llm"), container("log", gpus=None)],
                "resources": {"requests": {"cpu": "1"}},
            },
            Level.PASS,
        ),
    ],
)
def test_a_container_without_gpu_requests_blocks_a_resource_metric(
    spec: dict[str, object], level: Level
) -> None:
    pods = scaled(values(*PODS), pods=Seen([pod(**spec)]))
    given = msgspec.structs.replace(with_hpa(GPU_RESOURCE), scaled={("default", "llm"): pods})
    seen = the("hpa-requests", given)
    assert seen.level is level
    if level is Level.FAIL:
        assert seen.seen == "default/llm: no nvidia.com/gpu in the requests of log"
        assert 'nvidia.com/gpu: "0"' in seen.hint


def test_pods_that_may_not_be_listed_leave_their_requests_unknown() -> None:
    hidden = scaled(values(*PODS), pods=refused())
    given = msgspec.structs.replace(with_hpa(GPU_RESOURCE), scaled={("default", "llm"): hidden})
    assert the("hpa-requests", given).level is Level.UNKNOWN
    assert found("hpa-requests", facts()) == []


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"conditions": [UNSCHEDULABLE | {"message": "no GPU"}]}, "no node has room: no GPU"),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]},
            "ErrImagePull: ",
        ),
        (
            {"initContainerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
            "CrashLoopBackOff: ",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, None),
        ({}, None),
    ],
)
def test_a_pod_that_does_not_come_is_named_and_one_that_starts_is_not(
    status: dict[str, object], words: str | None
) -> None:
    members = [pod(PODS[0]), pod(PODS[1]) | {"status": {"phase": "Pending"} | status}]
    given = msgspec.structs.replace(
        with_hpa(), scaled={("default", "llm"): scaled(pods=Seen(members))}
    )
    seen = the("hpa-pods", given)
    if words is None:
        assert (seen.level, seen.seen) == (Level.PASS, "2 pods of HPAs, none stuck")
    else:
        assert seen.level is Level.WARN
        assert seen.seen == f"default/llm: 1 of 2 pods, {PODS[1]}: {words}"


def test_two_hpas_of_one_workload_are_a_failure_whatever_they_go_by() -> None:
    seen = the("hpa-conflicts", facts(hpas=Seen([hpa(), hpa(CPU, name="cpu")])))
    assert (seen.level, seen.seen) == (Level.FAIL, "Deployment default/llm has 2 HPAs: llm, cpu")
    other = hpa(CPU, name="cpu")
    other["metadata"]["namespace"] = "elsewhere"
    assert the("hpa-conflicts", facts(hpas=Seen([hpa(), other]))).level is Level.PASS
