"""A node group: adds a fake GPU node, after a while, for pods that no node has room for."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from tests.controlplane.api import Api
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.workloads import condition

Json = dict[str, Any]

LOOK_SECONDS = 0.2


class NodeGroup:
    """What Cluster Autoscaler does, with one GPU a node: an async context manager.

    It acts on the scheduler's word Unschedulable, one node for each such pod of `namespace`, and
    takes no node away. No node comes before `may_add` is set, however long ago it was asked for:
    a slow test, too, can look at the pods that wait. `names` are the nodes that it has made.
    """

    def __init__(self, api: Api, kubelet: Kubelet, namespace: str, wait_seconds: float) -> None:
        self.names: list[str] = []
        self.may_add = asyncio.Event()
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._api = api
        self._kubelet = kubelet
        self._wait_seconds = wait_seconds
        self._seen: set[str] = set()
        self._making: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watch = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._making, *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [one for one in ended if isinstance(one, Exception)]
        if failed:
            raise ExceptionGroup("the node group failed", failed)

    async def _follow(self) -> None:
        while True:
            for pod in (await self._api.get(self._pods))["items"]:
                if is_unschedulable(pod) and pod["metadata"]["uid"] not in self._seen:
                    self._seen.add(pod["metadata"]["uid"])
                    self._making.add(asyncio.create_task(self._make(len(self._seen))))
            await asyncio.sleep(LOOK_SECONDS)

    async def _make(self, number: int) -> None:
        await asyncio.sleep(self._wait_seconds)
        await self.may_add.wait()
        name = f"gpu-group-{number}"
        await self._kubelet.add_node(name, gpus=1)
        self.names.append(name)


def is_unschedulable(pod: Json) -> bool:
    return bool(condition(pod, "PodScheduled").get("reason") == "Unschedulable")
