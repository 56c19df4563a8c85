"""Discovery says the same always, in the form that kube-apiserver takes over."""

import json

import pytest

from adapter.api.discovery import documents
from adapter.model.catalogue import METRICS

GROUP = "/apis/custom.metrics.k8s.io"


def document(path: str) -> dict[str, object]:
    return json.loads(documents()[path])


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
    for metric in METRICS:
        assert {f"pods/{metric}", f"deployments.apps/{metric}", f"statefulsets.apps/{metric}"} <= {
            *names
        }
    assert len(names) == len(set(names)) == 3 * len(METRICS)


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_a_resource_is_namespaced_and_can_only_be_read_one_by_one(version: str) -> None:
    # Another verb makes the garbage collector, quota or the namespace controller call us; a
    # parent with both kinds of scope makes the whole group version stale.
    for resource in document(f"{GROUP}/{version}")["resources"]:
        assert resource["verbs"] == ["get"]
        assert resource["namespaced"] is True
        assert resource["kind"] == "MetricValueList"
        assert resource["singularName"] == ""


def test_openapi_documents_are_empty_but_there() -> None:
    assert document("/openapi/v2")["swagger"] == "2.0"
    assert document("/openapi/v3") == {"paths": {}}
