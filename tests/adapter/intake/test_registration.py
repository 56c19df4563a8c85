"""APIServices are made where there is none, and kept right."""

from __future__ import annotations

import asyncio

import pytest

from adapter.errors import KubeError, StartupError
from adapter.intake import apiservice
from adapter.intake.apiservice import PATH
from tests.adapter.intake.registering import (
    BOTH,
    BUNDLE,
    EXTERNAL,
    NAMES,
    Cluster,
    registered,
    until,
)


async def test_where_there_is_none_both_versions_are_made(cluster: Cluster) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
    assert cluster.service(NAMES[1])["spec"] == {
        "group": "custom.metrics.k8s.io",
        "version": "v1beta2",
        "service": {"name": "forescale", "namespace": "forescale-system", "port": 443},
        "caBundle": BUNDLE,
        "groupPriorityMinimum": 100,
        "versionPriority": 200,
    }
    assert cluster.service(NAMES[0])["spec"]["versionPriority"] == 100
    labels = cluster.service(NAMES[0])["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/managed-by": "forescale"}


async def test_two_replicas_make_them_once(cluster: Cluster) -> None:
    async with cluster.running() as one, cluster.running() as two:
        await until(lambda: registered(one) and registered(two))
    assert cluster.server.collections[PATH].keys() == BOTH
    assert cluster.server.calls[f"POST {PATH}"] <= 4


@pytest.mark.parametrize("change", [{"caBundle": None}, {"caBundle": "d3Jvbmc="}])
async def test_a_ca_bundle_that_was_wiped_or_changed_is_put_back(
    cluster: Cluster, change: dict[str, object]
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        path = f"{PATH}/{NAMES[0]}"
        for _ in range(3):
            await cluster.kube.patch(path, {"spec": change})
            await until(lambda: cluster.service(NAMES[0])["spec"].get("caBundle") == BUNDLE)


async def test_verification_that_was_switched_off_is_switched_on_again(cluster: Cluster) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        change = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
        await cluster.kube.patch(f"{PATH}/{NAMES[0]}", change)
        await until(lambda: cluster.service(NAMES[0])["spec"].get("caBundle") == BUNDLE)
        assert "insecureSkipTLSVerify" not in cluster.service(NAMES[0])["spec"]


async def test_one_that_was_deleted_by_somebody_is_made_again_but_not_at_once(
    cluster: Cluster,
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        cluster.server.remove(PATH, NAMES[1])
        await until(lambda: "deleted" in registration.states[NAMES[1]])
        await asyncio.sleep(0.15)
        assert NAMES[1] not in cluster.server.collections[PATH]
        await until(lambda: NAMES[1] in cluster.server.collections[PATH])


async def test_a_new_ca_is_put_in(cluster: Cluster) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        cluster.authority = b"new"
        await cluster.kube.patch(f"{PATH}/{NAMES[0]}", {"spec": {"caBundle": None}})
        await until(lambda: cluster.service(NAMES[0])["spec"].get("caBundle") == "bmV3")


@pytest.mark.parametrize(
    "error", [KubeError(0, "Timeout", "no answer"), StartupError("no usable CA")]
)
async def test_what_fails_is_told_once_and_tried_again(
    cluster: Cluster, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.error = error
    async with cluster.running() as registration:
        await until(lambda: registration.states.keys() == BOTH)
        assert str(error) in registration.states[NAMES[0]]
        await asyncio.sleep(0.2)
        cluster.error = None
        await until(lambda: registered(registration))
    failures = [r for r in caplog.records if r.getMessage() == "registration_failed"]
    assert len(failures) == 2


async def test_the_external_group_has_one_version_of_its_own(cluster: Cluster) -> None:
    async with cluster.running(group=apiservice.EXTERNAL) as registration:
        await until(lambda: registration.states.get(EXTERNAL) == "registered")
    spec = cluster.service(EXTERNAL)["spec"]
    assert (spec["group"], spec["version"]) == ("external.metrics.k8s.io", "v1beta1")
    assert spec["caBundle"] == BUNDLE


async def test_the_external_group_is_left_to_whoever_has_it_takeover_or_not(
    cluster: Cluster,
) -> None:
    keda = {"name": "keda-operator-metrics-apiserver", "namespace": "keda", "port": 443}
    cluster.make_foreign(EXTERNAL, service=keda)
    group = apiservice.EXTERNAL
    async with cluster.running(takeover=True, group=group) as registration:
        await until(lambda: EXTERNAL in registration.states)
        await asyncio.sleep(0.5)
        words = registration.states[EXTERNAL]
        assert "belongs to Service keda/keda-operator-metrics-apiserver" in words
        assert "set external.enabled to false" in words
    assert cluster.service(EXTERNAL)["spec"]["service"] == keda
