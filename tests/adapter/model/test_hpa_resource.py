"""What pods request and use of a resource, as the controller adds it up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model import hpa_resource
from adapter.model.hpa_metric import Invalid, Member, Proposal, Tolerance, propose
from adapter.model.hpa_policy import PodsMetric, ResourceMetric
from adapter.model.hpa_resource import Resource, Use, request_milli, usage_milli

Json = dict[str, Any]

GPU = "nvidia.com/gpu"
RESOURCE = Resource(ResourceMetric(GPU, 80))
LLM = Resource(ResourceMetric(GPU, 80), "llm")


def container(name: str, gpus: str | None = None, **more: Any) -> Json:
    requests = {"cpu": "1"} | ({} if gpus is None else {GPU: gpus})
    return {"name": name, "resources": {"requests": requests}} | more


def pod(*containers: Json, name: str = "a", **spec: Any) -> Json:
    return {"metadata": {"name": name}, "spec": {"containers": [*containers]} | spec}


def item(name: str = "a", **usage: str | None) -> Json:
    containers = [
        {"name": one, "usage": {"cpu": "1"} | ({} if used is None else {GPU: used})}
        for one, used in usage.items()
    ]
    return {"metadata": {"name": name}, "containers": containers}


NATIVE = container("side", restartPolicy="Always")
LOADER, LARGE = container("load", "8"), container("load", "3")
OWN = container("own", "2", restartPolicy="Always")
MISSING = "missing request for {} in container side"
POD_LEVEL = {"resources": {"requests": {"cpu": "2"}}}


@pytest.mark.parametrize(
    ("spec", "of", "wanted"),
    [
        (pod(container("llm", "1")), "", 1000),
        (pod(container("llm", "4"), container("side", "0")), "", 4000),
        (pod(container("llm", "1"), container("side")), "", MISSING),
        (pod(container("llm", "1"), container("side")), "llm", 1000),
        (pod(container("llm", "1")), "side", "there is no container side"),
        (pod(container("llm", "1"), initContainers=[NATIVE]), "", MISSING),
        (pod(container("llm", "1"), initContainers=[container("init")]), "", 1000),
        (pod(container("llm", "1"), container("side"), **POD_LEVEL), "", 1000),
        (pod(container("llm"), **POD_LEVEL), "", "missing pod-level request for {}"),
        (pod(container("llm", "1"), container("side"), **POD_LEVEL), "side", MISSING),
        (pod(container("llm", "1"), initContainers=[LOADER], **POD_LEVEL), "", 8000),
        (pod(container("llm", "1"), initContainers=[OWN, LARGE], **POD_LEVEL), "", 5000),
        (pod({"name": "llm"}), "", "missing request for {} in container llm"),
    ],
)
def test_each_container_that_lasts_must_request_it_or_at_pod_level_one_of_all(
    spec: Json, of: str, wanted: int | str
) -> None:
    found = request_milli(spec, GPU, of)
    assert found == (wanted.format(GPU) if isinstance(wanted, str) else wanted)


@pytest.mark.parametrize(
    ("found", "of", "wanted"),
    [
        (item(llm="600m"), "", 600),
        (item(llm="3200m", side="0"), "", 3200),
        (item(llm="600m", side=None), "", "metrics.k8s.io has no {} of container side"),
        (item(llm="600m", side=None), "llm", 600),
        (item(), "", "metrics.k8s.io has no container of it"),
        (item(side="1"), "llm", "metrics.k8s.io has no container llm"),
    ],
)
def test_one_container_without_the_key_makes_the_pod_silent(
    found: Json, of: str, wanted: int | str
) -> None:
    told = usage_milli(found, GPU, of)
    assert told == (wanted.format(GPU) if isinstance(wanted, str) else wanted)


def test_of_each_pod_it_is_told_what_it_requests_and_uses_and_why_not() -> None:
    pods = [pod(container("llm", "1")), pod(container("llm", "1"), name="b")]
    uses = hpa_resource.uses(RESOURCE, pods, [item(llm="600m"), item("stranger", llm="9")])
    assert uses == (Use("a", 1000, 600), Use("b", 1000, None, "metrics.k8s.io has no item of it"))


def test_one_pod_without_a_request_spoils_the_metric_for_all_and_is_named() -> None:
    pods = [pod(container("llm", "1")), pod(container("llm"), name="b")]
    uses = hpa_resource.uses(RESOURCE, pods, [item(llm="600m")])
    words = f"missing request for {GPU} in container llm"
    assert uses[1] == Use("b", None, None, words)
    assert hpa_resource.with_requests(RESOURCE, uses) == f"{words} of pod b"


def test_an_average_value_asks_for_no_request() -> None:
    asked = Resource(PodsMetric(GPU, 800))
    uses = hpa_resource.uses(asked, [pod(container("llm"))], [item(llm="600m")])
    assert uses == (Use("a", None, 600),)
    assert hpa_resource.with_requests(asked, uses) == PodsMetric(GPU, 800)


TARGET = {"type": "Utilization", "averageUtilization": 80}
WRONG = {"type": "Value", "value": "1"}


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        ({"type": "Resource", "resource": {"name": GPU, "target": TARGET}}, f"{GPU} Resource"),
        (
            {
                "type": "ContainerResource",
                "containerResource": {"name": GPU, "container": "llm", "target": TARGET},
            },
            f"{GPU} ContainerResource of llm",
        ),
        ({"type": "Pods", "pods": {}}, None),
        ({"type": "Resource", "resource": {"name": GPU, "target": WRONG}}, None),
    ],
)
def test_both_types_are_read_from_a_manifest_and_nothing_else(
    one: Json, wanted: str | None
) -> None:
    target = {"kind": "Deployment", "name": "llm"}
    manifest = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    manifest |= {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3}}
    found = hpa_resource.resource(manifest, one)
    assert (found and found.title) == wanted


@pytest.mark.parametrize(
    ("asked", "status", "wanted"),
    [
        (RESOURCE, {"averageUtilization": 60, "averageValue": "600m"}, 60),
        (Resource(PodsMetric(GPU, 800)), {"averageValue": "600m"}, 600),
        (RESOURCE, {"averageValue": "600m"}, "the HPA has no averageUtilization of it"),
        (
            Resource(RESOURCE.metric, "llm"),
            {"averageUtilization": 60},
            "the HPA has no value of it",
        ),
    ],
)
def test_what_the_hpas_status_says_is_of_this_resource_and_this_container(
    asked: Resource, status: Json, wanted: int | str
) -> None:
    shown = [{"type": ""}, {"type": "Resource", "resource": {"name": GPU, "current": status}}]
    assert hpa_resource.current(asked, {"currentMetrics": shown}) == wanted
    assert hpa_resource.current(asked, {"currentMetrics": None}) == "the HPA has no value of it"


def proposed(
    requests: dict[str, int], values: dict[str, int], target: int = 80
) -> Proposal | Invalid:
    metric = ResourceMetric(GPU, target, requests_milli=requests)
    pods = [Member(name) for name in requests]
    return propose(metric, values, pods, len(pods), Tolerance())


def test_pods_that_request_differently_are_one_share_of_all_requests() -> None:
    """A rollout from one GPU to four: 800m of 1 and 400m of 4 are 24 percent."""
    found = proposed({"a": 1000, "b": 4000}, {"a": 800, "b": 400})
    assert found.why == f"{GPU}: 24 % of the request / 80 % = 0.30 x 2 pods -> 1"
    silent = proposed({"a": 1000, "b": 4000, "c": 2000}, {"a": 100})
    assert silent.why == (
        f"{GPU}: 10 % of the request / 80 % = 0.12; 2 without a value counted as 2 or 4 = 1.09,"
        " within 0.9 to 1.1 -> stays at 3"
    )


def test_a_value_of_no_pod_counts_nothing_and_no_request_is_no_figure() -> None:
    with_stranger = proposed({"a": 1000}, {"a": 800, "stranger": 9_000_000})
    assert with_stranger.why.startswith(f"{GPU}: 80 % of the request / 80 % = 1.00, within")
    assert proposed({"a": 0}, {"a": 800}) == Invalid(
        GPU, f"{GPU}: the pods with a value request none of it"
    )


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 8000), min_size=1),
    st.integers(1, 8).map(lambda gpus: gpus * 1000),
    st.integers(1, 300),
)
def test_equal_requests_pod_by_pod_are_the_same_as_one_request_for_all(
    values: dict[str, int], request: int, target: int
) -> None:
    pods = [Member(name) for name in "abcdef"]
    alike = ResourceMetric(GPU, target, request)
    each = ResourceMetric(GPU, target, requests_milli=dict.fromkeys("abcdef", request))
    assert propose(each, values, pods, 6, Tolerance()) == propose(
        alike, values, pods, 6, Tolerance()
    )
