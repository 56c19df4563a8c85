"""Two tiers: the HPA adds pods, the real scheduler has no GPU for them, a node group adds nodes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.controlplane.cluster import SCHEDULER
from tests.controlplane.nodegroup import NodeGroup
from tests.controlplane.workloads import condition
from tests.e2e import lessons
from tests.e2e.scene import DEPLOYMENT, HPA, PENDING, Scene

Json = dict[str, Any]

NODE_SECONDS = 5.0  # until the group has made a node, at least
LOAD_SECONDS = 3.0
# Sixteen starts of another template count as eight: with one more the longest of nine rules.
STARTS_BEFORE, SECONDS_BEFORE = 16, 4.0
NEW_NODE = re.compile(r"cold start on a new node \((.+?)\) (\d+) s \((.+?)\), HPA sync")


@pytest.fixture
async def tiers(scene: Scene) -> AsyncIterator[Scene]:
    """A cluster with one GPU and the real scheduler; the adapter has learnt before."""
    scene.kubelet.binds = False
    (first,) = scene.kubelet.nodes
    await scene.kubelet.add_node(first, gpus=1)
    scene.llm.cold_start_seconds = LOAD_SECONDS
    before = lessons.starts_before(STARTS_BEFORE, SECONDS_BEFORE, new_node=True)
    key = lessons.key_before(scene.namespace, DEPLOYMENT)
    await scene.controlplane.start_component(SCHEDULER)
    try:
        async with lessons.taught(scene, starts={key: before}):
            yield scene
    finally:
        await scene.controlplane.stop_component(SCHEDULER)


async def test_pods_wait_for_a_node_and_that_wait_is_in_the_horizon_while_a_stuck_one_is_not(
    tiers: Scene,
) -> None:
    await tiers.adapters.install()
    await tiers.deploy()
    # The pod's start and the node that it filled are told apart: either may be known first.
    await told(tiers, lambda story: bool(story["warm"]["seconds"]) and is_full(story, 1))
    await tiers.until_hpa_reads(PENDING)
    await allow(tiers, 3)

    tiers.llm.next_never_load = 1
    async with NodeGroup(tiers.api, tiers.kubelet, tiers.namespace, NODE_SECONDS) as group:
        tiers.traffic.rate = 24.0  # of the eight that one pod serves
        assert await tiers.until_replicas(lambda count: count == 3) == 3
        await told(tiers, lambda story: "waits for a node" in doing(story))
        group.may_add.set()
        await tiers.kubelet.until(lambda: bool(tiers.llm.never_load))
        (stuck,) = tiers.llm.never_load
        await tiers.kubelet.until(lambda: stuck in running(tiers))
        await tiers.kubelet.restart_container(tiers.namespace, stuck)
        await tiers.kubelet.wait_ready(tiers.namespace, 2)
        tiers.traffic.rate = 0.0
    serving = set(tiers.llm.pods) - {stuck}
    await tiers.until_served(PENDING, serving)
    learnt_apart(await told(tiers, lambda story: len(doing(story)) == 0), stuck)
    active = condition(await tiers.hpa(), "ScalingActive")
    assert active["reason"] == "ValidMetricFound", active
    assert "is still loading its model" in await why(tiers, stuck)


def learnt_apart(story: Json, stuck: str) -> None:
    """The wait for the node is in what the next pod is expected to take; the stuck one is not."""
    new_node, warm = story["newNode"], story["warm"]
    *before, longest = new_node["seconds"]
    assert set(before) == {SECONDS_BEFORE}, story
    # A status has whole seconds, so what it tells may seem a second shorter than it is.
    assert new_node["nodeSeconds"] >= NODE_SECONDS - 1, story
    assert longest >= NODE_SECONDS + LOAD_SECONDS - 1, story
    assert warm["nodeSeconds"] <= 2, story
    assert warm["seconds"][-1] < longest, story
    ((room, seconds, why),) = NEW_NODE.findall(story["horizon"])
    assert room == "0 GPUs are free on 3 nodes", story
    assert (float(seconds), why) == (round(longest), "9 starts, other pod templates by half"), story
    assert story["stuck"] == [f"{stuck}: restarted before it was ready (restarts: 1)"], story


def is_full(story: Json, nodes: int) -> bool:
    """Whether the next pod is expected on a new node, since the GPUs of these are taken."""
    room = f"0 GPUs are free on {nodes} nodes"
    return any(found == room for found, _, _ in NEW_NODE.findall(story["horizon"]))


async def allow(scene: Scene, most: int) -> None:
    """Let the HPA ask for so many pods."""
    path = f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers/{HPA}"
    await scene.api.patch(path, {"spec": {"maxReplicas": most}})


async def told(scene: Scene, accepts: Callable[[Json], bool]) -> Json:
    """Ask `forescale coldstart` until it tells what is looked for."""
    command = ("coldstart", f"deployment/{DEPLOYMENT}", "-n", scene.namespace, "-ojson")
    async with asyncio.timeout(20):
        while True:
            (story,) = json.loads(await scene.forescale(*command))["workloads"]
            if accepts(story):
                return dict(story)


async def why(scene: Scene, pod: str) -> str:
    return await scene.forescale("why", f"pod/{pod}", "-n", scene.namespace)


def doing(story: Json) -> set[str]:
    return {pod["doing"] for pod in story["starting"]}


def running(scene: Scene) -> set[str]:
    return {pod["metadata"]["name"] for pod in scene.kubelet.running(scene.namespace)}
