"""Discovery says the same always, in the form that kube-apiserver takes over."""

import json

import pytest

from adapter.api.discovery import Documents, documents
from adapter.model.catalogue import METRICS
from adapter.model.owners import BUILT_IN, DEPLOYMENT, SERVICE, Owners
from adapter.model.target import DESIRED_REPLICAS, FORECASTS

WHOLE = [m.name for m in METRICS.values() if m.totals or m.distribution]  # of an object as a whole
GROUP = "/apis/custom.metrics.k8s.io"


def document(path: str) -> dict[str, object]:
    return json.loads(documents(Owners.of(""))[path])


def test_the_group_lists_both_versions_and_prefers_the_newer() -> None:
    group = document(GROUP)
    assert group["kind"] == "APIGroup"
    assert [v["version"] for v in group["versions"]] == ["v1beta2", "v1beta1"]
    assert group["preferredVersion"]["groupVersion"] == "custom.metrics.k8s.io/v1beta2"
    assert document("/apis")["groups"][0]["name"] == "custom.metrics.k8s.io"


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_every_metric_is_listed_for_pods_and_for_owners(version: str) -> None:
    listed = document(f"{GROUP}/{version}")
    assert listed["groupVersion"] == f"custom.metrics.k8s.io/{version}"
    names = [resource["name"] for resource in listed["resources"]]
    parents = ["namespaces", "nodes", *(kind.path for kind in BUILT_IN)]
    assert "deployments.apps" in parents
    assert "services" in parents
    of_objects = [f"{parent}/{name}" for parent in parents for name in WHOLE]
    assert "nvidia_gpu_health" not in WHOLE
    of_owners = [f"{k.path}/{name}" for k in BUILT_IN for name in (*FORECASTS, DESIRED_REPLICAS)]
    of_pods = [f"pods/{name}" for name in (*METRICS, *FORECASTS)]
    assert sorted(names) == sorted([*of_pods, *of_objects, *of_owners])


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_a_resource_can_only_be_read_one_by_one_and_has_the_scope_of_its_parent(
    version: str,
) -> None:
    # Another verb makes the garbage collector, quota or the namespace controller call us; a
    # parent with both kinds of scope makes the whole group version stale.
    for resource in document(f"{GROUP}/{version}")["resources"]:
        assert resource["verbs"] == ["get"]
        parent = resource["name"].partition("/")[0]
        assert resource["namespaced"] is (parent not in ("namespaces", "nodes"))
        assert resource["kind"] == "MetricValueList"
        assert resource["singularName"] == ""


def test_a_kind_of_the_settings_has_the_scope_that_it_says() -> None:
    owners = Owners.of("fleets.v1.x.io=Fleet:cluster,pools.v1.x.io=Pool:selector")
    listed = json.loads(documents(owners)[f"{GROUP}/v1beta2"])["resources"]
    scopes = {one["name"]: one["namespaced"] for one in listed if ".x.io/" in one["name"]}
    whole = {f"fleets.x.io/{name}": False for name in WHOLE}
    of_pools = (*WHOLE, *FORECASTS, DESIRED_REPLICAS)
    assert scopes == whole | {f"pools.x.io/{name}": True for name in of_pools}


def test_openapi_documents_are_empty_but_there() -> None:
    assert document("/openapi/v2")["swagger"] == "2.0"
    assert document("/openapi/v3") == {"paths": {}}


def test_external_metrics_are_listed_whether_they_are_registered_or_not() -> None:
    group = document("/apis/external.metrics.k8s.io")
    assert [v["version"] for v in group["versions"]] == ["v1beta1"]
    listed = document("/apis/external.metrics.k8s.io/v1beta1")
    assert listed["groupVersion"] == "external.metrics.k8s.io/v1beta1"
    names = {resource["name"] for resource in listed["resources"]}
    assert names == {*WHOLE, *FORECASTS, DESIRED_REPLICAS}
    for resource in listed["resources"]:
        assert resource["namespaced"] is True
        assert resource["kind"] == "ExternalMetricValueList"
        assert resource["verbs"] == ["get"]


def test_kinds_of_the_settings_are_listed_too() -> None:
    owners = Owners.of("inferenceservices.v1beta1.serving.kserve.io=InferenceService")
    listed = json.loads(documents(owners)[f"{GROUP}/v1beta2"])["resources"]
    names = {resource["name"] for resource in listed}
    assert "inferenceservices.serving.kserve.io/nvidia_gpu_utilization" in names


def test_metrics_that_are_queries_are_listed_for_their_kinds_and_once_outside() -> None:
    found = documents(queried=(("gateway_queue", DEPLOYMENT), ("gateway_queue", SERVICE)))
    listed = json.loads(found[f"{GROUP}/v1beta1"])["resources"]
    queried = [one for one in listed if one["name"].endswith("/gateway_queue")]
    assert [one["name"] for one in queried] == [
        "deployments.apps/gateway_queue",
        "services/gateway_queue",
    ]
    assert {one["namespaced"] for one in queried} == {True}
    outside = json.loads(found["/apis/external.metrics.k8s.io/v1beta1"])["resources"]
    assert [one["name"] for one in outside].count("gateway_queue") == 1


def test_documents_are_encoded_anew_when_other_queries_are_served() -> None:
    served = [(("gateway_queue", DEPLOYMENT),)]
    found = Documents(Owners.of(""), lambda: served[0], resource_metrics=False)
    path = f"{GROUP}/v1beta2"
    assert set(found) == set(documents())
    assert b"deployments.apps/gateway_queue" in found[path]
    assert found[path] is found[path]
    served[0] = (("jobs", SERVICE),)
    assert b"services/jobs" in found[path]
    assert b"gateway_queue" not in found[path]
