"""On a real kube-apiserver: an adapter that has the group keeps it, and its HPAs with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.controlplane.api import Api
from tests.e2e.adapters import APISERVICES, NAMESPACE, VERSIONS
from tests.e2e.scene import GROUP, Scene

Json = dict[str, Any]

NAMES = [f"{version}.custom.metrics.k8s.io" for version in VERSIONS]


@asynccontextmanager
async def installing(scene: Scene) -> AsyncIterator[None]:
    """Install without waiting for our APIServices, and leave none of anybody's behind."""
    install = asyncio.create_task(scene.adapters.install())
    try:
        yield
    finally:
        install.cancel()
        await asyncio.gather(install, return_exceptions=True)
        await scene.forescale("uninstall")
        for name in NAMES:
            if await _exists(scene.api, name):
                await scene.api.delete(f"{APISERVICES}/{name}")


@pytest.mark.parametrize("theirs", VERSIONS)
async def test_beside_one_foreign_version_the_group_is_left_to_it(
    scene: Scene, theirs: str
) -> None:
    await _make_foreign(scene, theirs)
    async with installing(scene):
        event = await _event(scene, f"{theirs}.custom.metrics.k8s.io belongs to")
        assert f"belongs to Service {scene.namespace}/other" in event["message"]
        await scene.kubelet.wait_ready(NAMESPACE, 1, timeout_seconds=60)
        await asyncio.sleep(3)
        assert await _owners(scene.api) == {f"{theirs}.custom.metrics.k8s.io": "other"}
        # What an HPA's discovery goes by.
        versions = (await scene.api.get(GROUP))["versions"]
        assert [version["version"] for version in versions] == [theirs]
        await _states_are_shown(scene, theirs)


async def _states_are_shown(scene: Scene, theirs: str) -> None:
    (address,) = scene.adapters.addresses.values()
    async with scene.api.session.get(f"http://{address}:8080/readyz?verbose") as answer:
        text = await answer.text()
    (missing,) = set(VERSIONS) - {theirs}
    assert f"[+]{missing}.custom.metrics.k8s.io: not made: {theirs}" in text


async def test_a_version_that_is_taken_from_us_leaves_the_other_where_hpas_read_it(
    scene: Scene,
) -> None:
    async with installing(scene):
        await scene.adapters.available()
        # As the other adapter's manifests do: applied over ours.
        spec = _foreign("v1beta1", {"name": "other", "namespace": scene.namespace, "port": 443})
        change = {"spec": spec["spec"] | {"caBundle": None}}
        await scene.api.patch(f"{APISERVICES}/{NAMES[0]}", change)
        await _event(scene, f"{NAMES[1]} stays ours")
        await asyncio.sleep(3)
        assert await _owners(scene.api) == {NAMES[0]: "other", NAMES[1]: "forescale"}


async def test_a_foreign_apiservice_is_left_alone_until_takeover_is_set(scene: Scene) -> None:
    api = scene.api
    for version in VERSIONS:
        await _make_foreign(scene, version)
    async with installing(scene):
        event = await _event(scene, "APIServiceForeign")
        assert f"belongs to Service {scene.namespace}/other" in event["message"]
        await scene.kubelet.wait_ready(NAMESPACE, 1, timeout_seconds=60)
        assert await _owners(api) == dict.fromkeys(NAMES, "other")
        assert "kept: it belongs to" in await scene.forescale("uninstall")
        assert await _owners(api) == dict.fromkeys(NAMES, "other")

        scene.adapters.arguments = ["--api-services-takeover", "true"]
        await scene.adapters.scale(2)
        await _event(scene, "APIServiceTakenOver")
        await scene.adapters.available()
        assert await _owners(api) == dict.fromkeys(NAMES, "forescale")


async def _make_foreign(scene: Scene, version: str) -> None:
    service = {"name": "other", "namespace": scene.namespace, "port": 443}
    await scene.api.post(APISERVICES, _foreign(version, service))


def _foreign(version: str, service: Json) -> Json:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.custom.metrics.k8s.io"},
        "spec": {
            "group": "custom.metrics.k8s.io",
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": service,
        },
    }


async def _event(scene: Scene, words: str) -> Json:
    """Wait for an Event about our Service, by its reason or words, that concerns this test."""
    path = f"/api/v1/namespaces/{NAMESPACE}/events"
    has = _having(words, scene.namespace)
    await scene.api.appears(f"/api/v1/namespaces/{NAMESPACE}")
    found = await scene.api.until(
        path, lambda listed: any(map(has, listed["items"])), timeout_seconds=60
    )
    return next(filter(has, found["items"]))


def _having(words: str, namespace: str) -> Callable[[Json], bool]:
    # The Events of tests before are there too, and told of another namespace's Service.
    return lambda item: (
        words in f"{item['reason']} {item['message']}"
        and item["involvedObject"]["name"] == "forescale"
        and f"Service {namespace}/" in item["message"]
    )


async def _owners(api: Api) -> dict[str, str]:
    items = (await api.get(APISERVICES))["items"]
    found = {item["metadata"]["name"]: item["spec"].get("service") for item in items}
    return {name: found[name]["name"] for name in NAMES if name in found}


async def _exists(api: Api, name: str) -> bool:
    return name in await _owners(api)
