"""The component `ha` as the real scheduler and the real eviction API take it, on three nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane.api import Api, ApiError
from tests.controlplane.cluster import SCHEDULER, ControlPlane
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.podlife import Behaviour
from tests.e2e.llmpods import ROOT

NODES = 3
ZONE = "topology.kubernetes.io/zone"
TOO_MANY = 429  # what the eviction API answers where a budget has no room


@pytest.fixture
async def nodes(controlplane: ControlPlane, kubelet: Kubelet) -> AsyncIterator[Kubelet]:
    """Three nodes in three zones, and the real scheduler."""
    kubelet.binds = False
    kubelet.behaviour = Behaviour(cold_start_seconds=0.5)
    (first,) = kubelet.nodes
    for number, name in enumerate((first, "ha-node-1", "ha-node-2")):
        await kubelet.add_node(name, labels={ZONE: f"zone-{number}"})
    await controlplane.start_component(SCHEDULER)
    try:
        yield kubelet
    finally:
        await controlplane.stop_component(SCHEDULER)


async def test_three_replicas_are_apart_after_a_rollout_too_and_a_drain_takes_one(
    controlplane: ControlPlane, api: Api, nodes: Kubelet, namespace: str, tmp_path: Path
) -> None:
    await _apply(controlplane, namespace, tmp_path)
    await nodes.wait_ready(namespace, NODES)
    assert len(_places(nodes, namespace)) == NODES

    # With three nodes taken the fourth pod, which a rollout starts first, is beside an old one.
    before = {pod["metadata"]["name"] for pod in nodes.ready(namespace)}
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/forescale-adapter"
    noted = {"metadata": {"annotations": {"restarted": "once"}}}
    await api.patch(path, {"spec": {"template": noted}})
    await api.until(path, _is_rolled_out)
    await nodes.wait_ready(namespace, NODES)
    after = [pod["metadata"]["name"] for pod in nodes.ready(namespace)]
    assert before.isdisjoint(after)
    assert len(_places(nodes, namespace)) == NODES

    budget = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/forescale-adapter"
    await api.until(budget, lambda found: found["status"].get("disruptionsAllowed") == 1)
    ends = await asyncio.gather(*(_evicted(api, namespace, name) for name in after[:2]))
    assert sorted(ends) == [201, TOO_MANY]


async def _apply(controlplane: ControlPlane, namespace: str, folder: Path) -> None:
    """Apply Deployment and PodDisruptionBudget as kubectl builds them, into the namespace."""
    (folder / "manifests").symlink_to(ROOT / "manifests")
    made = {"resources": ["manifests/base"], "components": ["manifests/components/ha"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(made))
    built = yaml.safe_load_all(await controlplane.kubectl("kustomize", str(folder)))
    own = [one for one in built if one["kind"] in ("Deployment", "PodDisruptionBudget")]
    for one in own:
        one["metadata"]["namespace"] = namespace
        if one["kind"] == "Deployment":
            del one["spec"]["template"]["spec"]["serviceAccountName"]
    await controlplane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(own))


def _places(kubelet: Kubelet, namespace: str) -> set[str]:
    return {pod["spec"]["nodeName"] for pod in kubelet.ready(namespace)}


def _is_rolled_out(deployment: dict[str, Any]) -> bool:
    status, generation = deployment["status"], deployment["metadata"]["generation"]
    counts = {status.get(f"{which}eplicas", 0) for which in ("r", "updatedR", "availableR")}
    return status.get("observedGeneration", 0) >= generation and counts == {NODES}


async def _evicted(api: Api, namespace: str, name: str) -> int:
    """Ask for a pod's eviction as a drain does; return the status."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    wanted = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    try:
        await api.post(path, wanted)
    except ApiError as error:
        return error.code
    return 201
