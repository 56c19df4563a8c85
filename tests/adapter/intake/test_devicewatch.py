"""Nodes, claims and slices are followed where there are any, and missed in silence where not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapter.intake import devicewatch as module
from adapter.intake.allocation import LEAVING_TAINTS, Kind
from adapter.intake.devicewatch import PATHS, DeviceWatch
from adapter.intake.kube import Kube
from adapter.intake.roster import Roster
from adapter.model.holding import Holding, Node
from tests.adapter.intake.test_allocation import ONE, claim, claiming, node, slice_of
from tests.adapter.intake.test_fleetwatch import until
from tests.fakes.apiserver import FakeApiServer

FORBIDDEN = {"code": 403, "reason": "Forbidden", "message": "nodes is forbidden"}
NOT_FOUND = {"code": 404, "reason": "NotFound", "message": "no such group"}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN_SECONDS", 0.1)


@asynccontextmanager
async def watching(kube: Kube, roster: Roster) -> AsyncIterator[DeviceWatch]:
    watch = DeviceWatch(kube, roster)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def holding(roster: Roster) -> Holding:
    return roster.fleet().pods["u1"].holding


def a_roster() -> Roster:
    roster, raw = Roster(), claiming()
    raw["spec"]["nodeName"] = "node-a"
    roster.put_pod(raw)
    return roster


async def test_what_the_cluster_has_reaches_the_pods_and_goes_with_it(
    kube: Kube, server: FakeApiServer
) -> None:
    shared = node("4", **{"nvidia.com/gpu.sharing-strategy": "mps"})
    server.put(PATHS[Kind.NODE], shared)
    server.put(PATHS[Kind.CLAIM], claim("gpu-0"))
    roster = a_roster()
    async with watching(kube, roster) as watch:
        await watch.looked(10.0)
        assert holding(roster).ids == ("gpu.nvidia.com/node-a/gpu-0",)
        assert (holding(roster).capacity, holding(roster).sharing) == (
            4,
            "GPUs of its node are shared by mps",
        )
        server.put(PATHS[Kind.SLICE], slice_of(gpu_0=ONE))
        await until(lambda: holding(roster).ids == (ONE,))
        server.remove(PATHS[Kind.CLAIM], "llm-1-gpu-x")
        await until(lambda: holding(roster).ids == ())
    asked = {query.get("fieldSelector") for query in server.queries} - {None}
    assert asked == {"spec.driver=gpu.nvidia.com"}


async def test_a_cluster_without_dra_or_the_right_to_nodes_lacks_those_proofs_alone(
    kube: Kube, server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in (Kind.CLAIM, Kind.SLICE):
        server.refusals[f"GET {PATHS[kind]}"] = NOT_FOUND
    server.refusals[f"GET {PATHS[Kind.NODE]}"] = FORBIDDEN
    roster = a_roster()
    async with watching(kube, roster) as watch:
        async with asyncio.timeout(5.0):
            await watch.looked(60.0)
        await until(lambda: server.calls[f"GET {PATHS[Kind.NODE]}"] >= 3)
        assert caplog.text.count("devices_unreadable") == 1
        assert "not known or not allocated yet" in str(holding(roster).why)
        server.refusals.clear()  # the cluster is upgraded, and our role with it
        server.put(PATHS[Kind.CLAIM], claim("gpu-0"))
        server.put(PATHS[Kind.NODE], node("8"))
        await until(lambda: holding(roster).capacity == 8 and bool(holding(roster).ids))


async def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_asked(
    kube: Kube, server: FakeApiServer
) -> None:
    server.answering.clear()
    async with watching(kube, Roster()) as watch:
        async with asyncio.timeout(5.0):
            await watch.looked(0.2)
        server.answering.set()


async def test_a_nodes_age_product_cordon_and_price_class_reach_the_fleet(
    kube: Kube, server: FakeApiServer
) -> None:
    raw = node(
        "8", **{"nvidia.com/gpu.product": "H100", "cloud.google.com/gke-spot": "true", "team": "a"}
    )
    raw["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    raw["spec"] = {"unschedulable": True}
    server.put(PATHS[Kind.NODE], raw)
    roster = a_roster()
    async with watching(kube, roster) as watch:
        await watch.looked(10.0)
        assert roster.fleet().nodes == {
            "node-a": Node(None, 8, "H100", 1_767_225_600.0, takes_pods=False, spot=True)
        }


async def test_a_node_that_is_dead_or_about_to_go_has_room_for_nobody(
    kube: Kube, server: FakeApiServer
) -> None:
    for taint in ("nvidia.com/gpu", *sorted(LEAVING_TAINTS)):
        raw = node("8")
        raw["metadata"]["name"] = taint
        raw["spec"] = {"taints": [{"key": "dedicated"}, {"key": taint, "effect": "NoSchedule"}]}
        server.put(PATHS[Kind.NODE], raw)
    roster = a_roster()
    async with watching(kube, roster) as watch:
        await watch.looked(10.0)
        takes = {name: found.takes_pods for name, found in roster.fleet().nodes.items()}
        assert takes == {"nvidia.com/gpu": True} | dict.fromkeys(LEAVING_TAINTS, False)
