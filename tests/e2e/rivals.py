"""Rivals: Deployments that are alike but for a word, each with its own requests and its own HPA."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import yaml

from tests.e2e.llmpods import LlmPod
from tests.e2e.scene import EXAMPLE, Scene
from tests.e2e.traffic import Traffic

Json = dict[str, Any]

LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Look:
    """One rival at one moment: what its HPA wants, what is there, and what its servers say."""

    at: float
    replicas: int
    ready: int
    waiting: float


@dataclass
class Rival:
    """One Deployment of the example's pods, by another name; only its traffic reaches its pods."""

    scene: Scene
    name: str
    traffic: Traffic
    looks: list[Look] = field(default_factory=list)

    async def deploy(self, replicas: int, noted: dict[str, str]) -> None:
        await self.scene.api.post(self._deployments, self._deployment(replicas, noted))

    async def autoscale(self, metric: str, average: str, most: int) -> None:
        """Create its HPA, on an object's metric of the Deployment itself."""
        path = f"/apis/autoscaling/v2/namespaces/{self.scene.namespace}/horizontalpodautoscalers"
        await self.scene.api.post(path, _autoscaler(self.name, metric, average, most))

    def pods(self) -> list[LlmPod]:
        return [pod for pod in self.scene.llm.pods.values() if _is_of(self.name, pod)]

    def ready(self) -> int:
        """How many of its pods the API server calls Ready."""
        pods = self.scene.kubelet.ready(self.scene.namespace)
        return sum(pod["metadata"]["labels"]["app"] == self.name for pod in pods)

    async def look(self) -> Look:
        found = await self.scene.api.get(f"{self._deployments}/{self.name}")
        waiting = sum(pod.waiting for pod in self.pods())
        now = Look(time.monotonic(), int(found["spec"]["replicas"]), self.ready(), waiting)
        self.looks.append(now)
        return now

    async def until_ready(self, count: int, timeout_seconds: float = 60.0) -> None:
        await self.scene.kubelet.until(lambda: self.ready() == count, timeout_seconds)

    @property
    def _deployments(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.scene.namespace}/deployments"

    def _deployment(self, replicas: int, noted: dict[str, str]) -> Json:
        path = EXAMPLE.parent / "llm-inference" / "deployment.yaml"
        found: Json = yaml.safe_load(path.read_text())
        found["metadata"] = {"name": self.name}
        spec, template = found["spec"], found["spec"]["template"]
        spec["replicas"] = replicas
        spec["selector"]["matchLabels"]["app"] = template["metadata"]["labels"]["app"] = self.name
        template["metadata"]["annotations"] = noted
        return found


def _is_of(name: str, pod: LlmPod) -> bool:
    return pod.name.startswith(f"{name}-")


@asynccontextmanager
async def rivals(scene: Scene, *names: str) -> AsyncIterator[list[Rival]]:
    """Give each its own traffic, with nothing deployed yet."""
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        found = []
        for name in names:
            traffic = Traffic(scene.llm, session, partial(_is_of, name))
            found.append(Rival(scene, name, await stack.enter_async_context(traffic)))
        yield found


async def watch(rivals: list[Rival], seconds: float) -> None:
    """Look at all of them, side by side, for some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for rival in rivals:
            await rival.look()
        await asyncio.sleep(LOOK_SECONDS)


def _autoscaler(name: str, metric: str, average: str, most: int) -> Json:
    whose = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    target = {"type": "AverageValue", "averageValue": average}
    asked = {"describedObject": whose, "metric": {"name": metric}, "target": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": whose,
            "minReplicas": 1,
            "maxReplicas": most,
            "metrics": [{"type": "Object", "object": asked}],
            "behavior": {"scaleUp": {"tolerance": "0"}, "scaleDown": {"tolerance": "0"}},
        },
    }
