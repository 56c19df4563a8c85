"""Which objects are watched, what of them is kept, and whose pods are found by that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapter.intake.fleetwatch import PODS, FleetWatch, path_of
from adapter.intake.kube import Kube
from adapter.intake.roster import Roster
from adapter.model.owners import DEPLOYMENT, INGRESS, REPLICA_SET, SERVICE, Owners
from tests.adapter.intake.test_backends import ingress, service
from tests.adapter.intake.test_podjson import owner, pod_json
from tests.fakes.apiserver import FakeApiServer, Json


def a_pod(name: str, *, gpu: bool, **labels: str) -> Json:
    raw = pod_json()
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}", "labels": labels}
    if not gpu:
        raw["spec"]["containers"] = [{"name": "web"}]
    return raw


@asynccontextmanager
async def watching(kube: Kube, roster: Roster, *, all_pods: bool) -> AsyncIterator[FleetWatch]:
    watch = FleetWatch(kube, roster, all_pods=all_pods)
    task = asyncio.create_task(watch.run())
    try:
        await until(watch.synced)
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def names(roster: Roster) -> set[str]:
    return {pod.name for pod in roster.fleet().pods.values()}


async def test_without_a_node_source_labelled_pods_alone_are_asked_for(
    kube: Kube, server: FakeApiServer
) -> None:
    async with watching(kube, Roster(), all_pods=False):
        asked = {query["labelSelector"] for query in server.queries if "labelSelector" in query}
        assert asked == {"forescale.dev/source in (sidecar,scrape,prometheus,node)"}
        assert server.calls[f"GET {path_of(REPLICA_SET)}"] >= 1


async def test_with_one_all_pods_are_asked_for_and_those_with_a_gpu_or_a_source_are_kept(
    kube: Kube, server: FakeApiServer
) -> None:
    roster = Roster()
    server.put(PODS, a_pod("train", gpu=True))
    server.put(PODS, a_pod("web", gpu=False))
    server.put(PODS, a_pod("cpu-llm", gpu=False, **{"forescale.dev/source": "scrape"}))
    async with watching(kube, roster, all_pods=True):
        assert all("labelSelector" not in query for query in server.queries)
        assert names(roster) == {"train", "cpu-llm"}
        server.put(PODS, a_pod("late", gpu=True))
        server.put(PODS, a_pod("late-web", gpu=False))
        await until(lambda: names(roster) == {"train", "cpu-llm", "late"})
        server.put(PODS, a_pod("cpu-llm", gpu=False))  # its label was taken away
        await until(lambda: names(roster) == {"train", "late"})


@pytest.fixture
async def roster(server: FakeApiServer, kube: Kube) -> AsyncIterator[Roster]:
    found = Roster()
    watch = FleetWatch(kube, found)
    server.put(PODS, pod_json())
    task = asyncio.create_task(watch.run())
    await until(watch.synced)
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def owned(roster: Roster, kind: str, name: str) -> tuple[str, ...]:
    return roster.fleet().owned("default", kind, name).names


def parent(kind: str, name: str, above: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "ownerReferences": [above]}
    return {"kind": kind, "metadata": metadata}


async def test_pods_are_found_by_every_owner_above_them(
    server: FakeApiServer, roster: Roster
) -> None:
    server.put(path_of(REPLICA_SET), parent("ReplicaSet", "llm-5d", owner("Deployment", "llm")))
    await until(lambda: owned(roster, "Deployment.apps", "llm") == ("llm-1",))
    above = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}
    above |= {"name": "chat", "controller": True}
    server.put(path_of(DEPLOYMENT), parent("Deployment", "llm", above))
    await until(lambda: owned(roster, "InferenceService.serving.kserve.io", "chat") == ("llm-1",))
    server.remove(path_of(REPLICA_SET), "llm-5d")
    await until(lambda: owned(roster, "Deployment.apps", "llm") == ())


async def test_services_and_ingresses_choose_pods(server: FakeApiServer, roster: Roster) -> None:
    server.put(path_of(SERVICE), service("llm", {"app": "llm"}))
    server.put(path_of(INGRESS), ingress("web", "llm"))
    await until(lambda: owned(roster, "Ingress.networking.k8s.io", "web") == ("llm-1",))
    assert owned(roster, "Service", "llm") == ("llm-1",)
    server.put(path_of(SERVICE), service("llm", {"app": "other"}))
    await until(lambda: owned(roster, "Service", "llm") == ())


async def test_a_custom_object_chooses_pods_too(server: FakeApiServer, kube: Kube) -> None:
    owners = Owners.of("pools.v1.x.io=Pool:selector,fleets.v1.x.io=Fleet:selector:cluster")
    roster, (pool, fleet) = Roster(owners), owners.by_selector
    server.put(PODS, pod_json())
    server.put(path_of(pool), service("chat", {"matchLabels": {"app": "llm"}}))
    everywhere = service("all", {"app": "llm"})
    del everywhere["metadata"]["namespace"]
    server.put(path_of(fleet), everywhere)
    async with watching(kube, roster, all_pods=False):
        await until(lambda: owned(roster, "Pool.x.io", "chat") == ("llm-1",))
        await until(lambda: owned(roster, "Fleet.x.io", "all") == ("llm-1",))
        assert roster.fleet().owned("", "Fleet.x.io", "all").names == ("llm-1",)
        server.remove(path_of(pool), "chat")
        await until(lambda: owned(roster, "Pool.x.io", "chat") == ())


@pytest.mark.parametrize("part", ["spec", "status"])
@pytest.mark.parametrize("odd", ["x", ["x"], 7])
async def test_an_object_whose_parts_are_anything_ends_no_watch(
    server: FakeApiServer, kube: Kube, part: str, odd: object
) -> None:
    owners = Owners.of("pools.v1.x.io=Pool:selector")
    roster, (pool,) = Roster(owners), owners.by_selector
    server.put(PODS, pod_json())
    for name in ("odd-1", "odd-2"):
        server.put(path_of(pool), {"metadata": {"name": name, "namespace": "other"}, part: odd})
    server.put(path_of(pool), service("chat", {"app": "llm"}))
    async with watching(kube, roster, all_pods=False):
        await until(lambda: owned(roster, "Pool.x.io", "chat") == ("llm-1",))
        late = {"metadata": {"name": "odd-3", "namespace": "other"}, part: odd}
        server.put(path_of(pool), late)
        server.put(path_of(pool), service("late", {"app": "llm"}))
        await until(lambda: owned(roster, "Pool.x.io", "late") == ("llm-1",))


async def test_an_object_nested_deeper_than_is_read_holds_up_its_own_kind_alone(
    server: FakeApiServer, kube: Kube, caplog: pytest.LogCaptureFixture
) -> None:
    owners = Owners.of("pools.v1.x.io=Pool:selector")
    roster, (pool,) = Roster(owners), owners.by_selector
    deep = '{"a":' * 2000 + "1" + "}" * 2000
    server.texts[path_of(pool)] = f'{{"items":[{{"metadata":{{"name":"x"}},"spec":{deep}}}]}}'
    async with watching(kube, roster, all_pods=False):
        await until(lambda: server.calls[f"GET {path_of(pool)}"] > 1)
        server.put(PODS, pod_json())
        await until(lambda: names(roster) == {"llm-1"})
    told = [record for record in caplog.records if record.getMessage() == "watch_failed"]
    assert len(told) <= 1


async def test_metadata_alone_is_asked_for_of_the_owners(
    server: FakeApiServer, roster: Roster
) -> None:
    await until(lambda: server.calls[f"GET {path_of(INGRESS)}"] > 0)
    assert roster.fleet().version > 0
    accepts = [headers["Accept"] for headers in server.headers]
    assert sum("PartialObjectMetadataList" in accept for accept in accepts) == 3


async def test_an_adapter_that_may_not_list_services_is_synced(
    server: FakeApiServer, kube: Kube
) -> None:
    refusal = {"code": 403, "reason": "Forbidden", "message": "no"}
    server.refusals = {f"GET {path_of(kind)}": refusal for kind in (SERVICE, INGRESS, DEPLOYMENT)}
    watch = FleetWatch(kube, Roster())
    task = asyncio.create_task(watch.run())
    await until(watch.synced)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
