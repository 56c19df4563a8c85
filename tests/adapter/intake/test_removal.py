"""Ours are taken out for good, also where an adapter still runs; others stay."""

from __future__ import annotations

import asyncio

import pytest

from adapter.errors import KubeError
from adapter.intake.apiservice import PATH, UNINSTALLED
from adapter.intake.removal import uninstall
from adapter.settings import Settings
from tests.adapter.intake.registering import EXTERNAL, NAMES, Cluster, registered, until


async def test_a_list_anew_after_an_uninstallation_makes_nothing_again(cluster: Cluster) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        await uninstall(cluster.kube, Settings().api)
        await until(lambda: registration.states == dict.fromkeys(NAMES, "uninstalled"))
        await _listed_anew(cluster)
        await asyncio.sleep(0.5)
        assert cluster.server.collections[PATH] == {}
        assert registration.states == dict.fromkeys(NAMES, "uninstalled")


async def test_one_whose_deletion_was_missed_while_it_was_being_uninstalled_stays_away(
    cluster: Cluster,
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        mark = {"metadata": {"annotations": {UNINSTALLED: "true"}}}
        for name in NAMES:
            await cluster.kube.patch(f"{PATH}/{name}", mark)
        await until(lambda: registration.states == dict.fromkeys(NAMES, "being uninstalled"))
        cluster.server.collections[PATH].clear()  # and no watch tells of it
        await _listed_anew(cluster)
        await until(lambda: registration.states == dict.fromkeys(NAMES, "uninstalled"))
        await asyncio.sleep(0.5)
        assert cluster.server.collections[PATH] == {}


async def _listed_anew(cluster: Cluster) -> None:
    """Let both watches end with 410, and wait for their new lists."""
    lists = _lists(cluster)
    cluster.server.put(PATH, {"metadata": {"name": "v1.other"}, "spec": {}})
    cluster.server.compact()
    cluster.server.cut()
    await until(lambda: _lists(cluster) >= lists + len(NAMES))
    cluster.server.collections[PATH].pop("v1.other")


def _lists(cluster: Cluster) -> int:
    return sum("limit" in query for query in cluster.server.queries)


async def test_uninstall_deletes_ours_and_no_running_adapter_makes_them_again(
    cluster: Cluster,
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        removals = await uninstall(cluster.kube, Settings().api)
        gone = [(removal.name, removal.deleted) for removal in removals]
        assert gone == [(NAMES[1], True), (NAMES[0], True), (EXTERNAL, False)]
        await until(lambda: registration.states == dict.fromkeys(NAMES, "uninstalled"))
        await asyncio.sleep(0.3)
        assert cluster.server.collections[PATH] == {}


async def test_uninstall_leaves_a_foreign_one_and_tells_whose_it_is(cluster: Cluster) -> None:
    cluster.make_foreign(NAMES[0])
    removals = {removal.name: removal for removal in await uninstall(cluster.kube, Settings().api)}
    assert removals[NAMES[0]].words == "kept: it belongs to Service monitoring/prometheus-adapter"
    assert removals[NAMES[1]].words == "was not there"
    assert not any(removal.deleted for removal in removals.values())
    assert UNINSTALLED not in cluster.service(NAMES[0])["metadata"].get("annotations", {})


async def test_uninstall_says_when_it_is_refused(cluster: Cluster) -> None:
    cluster.server.refusals[f"GET {PATH}/{NAMES[1]}"] = {
        "code": 403,
        "reason": "Forbidden",
        "message": "no apiservices for you",
    }
    with pytest.raises(KubeError, match="no apiservices"):
        await uninstall(cluster.kube, Settings().api)


async def test_metrics_k8s_io_that_points_here_is_kept_and_told_of(cluster: Cluster) -> None:
    ours = {"name": "forescale", "namespace": "forescale-system"}
    name = "v1beta1.metrics.k8s.io"
    cluster.server.put(PATH, {"metadata": {"name": name}, "spec": {"service": ours}})
    removals = {removal.name: removal for removal in await uninstall(cluster.kube, Settings().api)}
    assert not removals[name].deleted
    assert "give-back.yaml" in removals[name].words
    assert name in cluster.server.collections[PATH]
    cluster.make_foreign(name)
    assert name not in {removal.name for removal in await uninstall(cluster.kube, Settings().api)}
