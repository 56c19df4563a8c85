"""On a real kube-apiserver: watches that last, one CA for all, APIServices that stay right."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from adapter.api.certificate import Certificate
from adapter.cluster import Event, Patch
from adapter.errors import KubeError
from adapter.intake import watch as watches
from adapter.intake.kube import Kube
from adapter.settings import Api as ApiSettings
from adapter.settings import Settings
from tests.controlplane.api import Api
from tests.controlplane.cluster import APISERVER, ControlPlane
from tests.e2e.adapters import APISERVICES, VERSIONS
from tests.e2e.clusterdiscovery import discovery_is_current
from tests.e2e.scene import Scene

Json = dict[str, Any]

AVAILABLE_SECONDS = 5.0  # both APIServices, from the adapter's process on
NAMES = [f"{version}.custom.metrics.k8s.io" for version in VERSIONS]


@pytest.fixture
async def kube(controlplane: ControlPlane) -> AsyncIterator[Kube]:
    connected = await Kube.connect(str(controlplane.kubeconfig))
    yield connected
    await connected.close()


async def following(events: AsyncIterator[Event]) -> Event:
    async with asyncio.timeout(30):
        return await anext(events)


def configmap(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_the_client_reads_and_writes_raw_json(kube: Kube, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    made = await kube.create(path, configmap("a", x="1"))
    with pytest.raises(KubeError) as caught:
        await kube.create(path, configmap("a"))
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")
    await kube.patch(f"{path}/a", {"data": {"x": None, "y": "2"}})
    operations: list[Json] = [{"op": "add", "path": "/data/z", "value": "3"}]
    await kube.patch(f"{path}/a", operations, kind=Patch.JSON)
    await kube.patch(f"{path}/a", {"data": {"s": "4"}}, kind=Patch.STRATEGIC)
    assert (await kube.get(f"{path}/a"))["data"] == {"y": "2", "z": "3", "s": "4"}
    with pytest.raises(KubeError) as caught:
        await kube.delete(f"{path}/a", uid="another")
    assert caught.value.code == 409
    await kube.delete(f"{path}/a", uid=made["metadata"]["uid"])
    with pytest.raises(KubeError) as caught:
        await kube.get(f"{path}/a")
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")


async def test_a_watch_pages_through_a_list_and_follows_selected_metadata(
    kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "PAGE_ITEMS", 7)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for number in range(20):
        body = configmap(f"n{number:02d}", large="x")
        body["metadata"]["labels"] = {"odd": str(number % 2)}
        await kube.create(path, body)
    events = kube.watch(path, {"labelSelector": "odd=1"}, metadata_only=True)
    async with aclosing(events), aclosing(kube.watch(path)) as everything:
        first = await following(events)
        assert len(first.body) == 10
        assert all("data" not in item and item["metadata"]["uid"] for item in first.body)
        assert len((await following(everything)).body) == 21  # with kube-root-ca.crt
        await kube.patch(f"{path}/n00", {"metadata": {"labels": {"odd": "1"}}})
        await kube.delete(f"{path}/n01")
        seen = [await following(events), await following(events)]
        kinds = [(event.kind, event.body["metadata"]["name"]) for event in seen]
        assert kinds == [("ADDED", "n00"), ("DELETED", "n01")]
        assert all("data" not in event.body for event in seen)
        assert (await following(everything)).body["data"] == {"large": "x"}


async def test_a_watch_outlives_its_api_server_and_misses_nothing(
    controlplane: ControlPlane, kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "LAST_DELAY_SECONDS", 0.5)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    await kube.create(path, configmap("stays"))
    await kube.create(path, configmap("goes"))
    async with aclosing(kube.watch(path, {"fieldSelector": "metadata.name!=x"})) as events:
        names = {item["metadata"]["name"] for item in (await following(events)).body}
        assert names >= {"stays", "goes"}
        await controlplane.stop_component(APISERVER, grace_seconds=0.0)
        waiting = asyncio.create_task(_folded(events, names, {"stays", "comes"}))
        await asyncio.sleep(1)
        await controlplane.start_component(APISERVER)
        await kube.delete(f"{path}/goes")
        await kube.create(path, configmap("comes"))
        async with asyncio.timeout(40):
            await waiting


async def _folded(events: AsyncIterator[Event], names: set[str], wanted: set[str]) -> None:
    """Apply events until exactly the wanted names (and the cluster's own) are there."""
    while names - {"kube-root-ca.crt"} != wanted:
        kind, body = await anext(events)
        if kind == "list":
            names.clear()
            names.update(item["metadata"]["name"] for item in body)
        elif kind == "DELETED":
            names.discard(body["metadata"]["name"])
        else:
            names.add(body["metadata"]["name"])


async def test_a_version_that_the_server_has_forgotten_leads_to_a_new_list(
    kube: Kube, namespace: str
) -> None:
    watch = watches.Watch(
        kube, f"/api/v1/namespaces/{namespace}/pods", {}, metadata_only=False, keep=None
    )
    async with aclosing(watch.events()) as events:
        assert (await following(events)).kind == "list"
        watch._version = "1"  # compacted away long before a test can begin
        assert (await following(events)).kind == "list"


async def test_replicas_that_start_at_the_same_moment_end_with_one_ca(
    kube: Kube, namespace: str
) -> None:
    settings = Settings(api=ApiSettings(namespace=namespace))
    replicas = await asyncio.gather(*(Certificate.obtain(kube, settings) for _ in range(8)))
    authorities = {await replica.authority_pem() for replica in replicas}
    assert len(authorities) == 1
    assert len((await kube.get(f"/api/v1/namespaces/{namespace}/secrets"))["items"]) == 1


async def test_apiservices_are_made_kept_right_and_uninstalled(scene: Scene) -> None:
    api = scene.api
    try:
        await scene.adapters.install(replicas=2)
        assert time.monotonic() - scene.adapters.started_at < AVAILABLE_SECONDS
        await _both_versions_are_listed(scene)
        await _bundle_comes_back(scene)
        await _a_namespace_can_be_deleted(api, "with-adapter")
    finally:
        out = await scene.forescale("uninstall")
    assert [line.split(": ")[1] for line in out.splitlines()[:2]] == ["deleted", "deleted"]
    await asyncio.sleep(3)
    for name in NAMES:
        await api.gone(f"{APISERVICES}/{name}", timeout_seconds=1)
    assert "was not there" in await scene.forescale("uninstall")
    assert await scene.doctor() >= {("FAIL", "apiservices"), ("FAIL", "aggregation")}
    await _a_namespace_can_be_deleted(api, "without-adapter")
    assert _refusals(scene.controlplane.audit_log) == []


async def _both_versions_are_listed(scene: Scene) -> None:
    """Both versions, with their resources, in the discovery that clients of the cluster read."""
    listed = await scene.controlplane.kubectl("get", "--raw", "/apis/custom.metrics.k8s.io")
    versions = [version["version"] for version in json.loads(listed)["versions"]]
    assert versions == ["v1beta2", "v1beta1"]
    for version in VERSIONS:
        found = await scene.raw(f"/apis/custom.metrics.k8s.io/{version}")
        names = {resource["name"] for resource in found["resources"]}
        assert {"pods/nvidia_gpu_utilization", "deployments.apps/nvidia_gpu_utilization"} <= names
    await discovery_is_current(scene)


async def _bundle_comes_back(scene: Scene) -> None:
    api = scene.api
    right = (await api.get(f"{APISERVICES}/{NAMES[0]}"))["spec"]["caBundle"]
    wipe = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
    for change in ({"spec": {"caBundle": None}}, wipe):
        began = time.monotonic()
        await api.patch(f"{APISERVICES}/{NAMES[0]}", change)
        await api.until(
            f"{APISERVICES}/{NAMES[0]}",
            lambda found: (
                found["spec"].get("caBundle") == right
                and not found["spec"].get("insecureSkipTLSVerify")
            ),
        )
        assert time.monotonic() - began < 6
    await scene.adapters.available()


async def _a_namespace_can_be_deleted(api: Api, name: str) -> None:
    await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    await api.appears(f"/api/v1/namespaces/{name}/serviceaccounts/default")
    await api.delete(f"/api/v1/namespaces/{name}")
    await api.gone(f"/api/v1/namespaces/{name}", timeout_seconds=20)


def _refusals(audit_log: Path) -> list[str]:
    """Return what the adapter's service account asked for and may not."""
    found = []
    for line in audit_log.read_text().splitlines():
        entry = json.loads(line)
        user = entry["user"].get("username", "")
        if user.endswith(":forescale-adapter") and entry["responseStatus"].get("code") == 403:
            found.append(f"{entry['verb']} {entry['requestURI']}")
    return found
