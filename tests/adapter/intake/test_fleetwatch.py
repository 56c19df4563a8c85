"""Which pods are watched, and what of them is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapter.intake.fleetwatch import PODS, REPLICA_SETS, FleetWatch
from adapter.intake.kube import Kube
from adapter.intake.roster import Roster
from tests.adapter.intake.test_podjson import pod_json
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
        assert asked == {"forescale.dev/source in (sidecar,scrape,node)"}
        assert server.calls[f"GET {REPLICA_SETS}"] >= 1


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
