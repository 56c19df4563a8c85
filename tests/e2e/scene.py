"""The scene: everything that an end-to-end test moves, and the few questions that it asks."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.controlplane.api import Api, ApiError
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.kubelet import Kubelet
from tests.e2e.adapters import Adapters
from tests.e2e.gateway import Gateways
from tests.e2e.llmpods import ROOT, LlmPods
from tests.e2e.traffic import Traffic

Json = dict[str, Any]

EXAMPLE = ROOT / "manifests" / "examples" / "llm-inference-gpu"
DEPLOYMENT = "llm-inference-deployment"
HPA = "llm-inference-hpa"
PENDING = "llm_inference_pending_requests"
GPU = "nvidia_gpu_utilization"
GROUP = "/apis/custom.metrics.k8s.io"


@dataclass
class Scene:
    """One test's cluster, with the seed's workload in a namespace of its own."""

    controlplane: ControlPlane
    api: Api
    kubelet: Kubelet
    namespace: str
    adapters: Adapters
    llm: LlmPods
    traffic: Traffic
    gateways: Gateways
    example: Path = EXAMPLE

    async def deploy(self, *, hpa: bool = True, replicas: int = 1, others: int = 0) -> None:
        """Apply the example of the documentation, with as many pods, and wait until they serve.

        `others` is how many pods of other Deployments it has.
        """
        parts = [part for part in await self._example() if hpa or not _is_hpa(part)]
        await self.controlplane.kubectl("apply", "-f", "-", stdin="\n---\n".join(parts))
        if replicas != 1:
            await self.scale(replicas)
        await self.kubelet.wait_ready(self.namespace, replicas + others, timeout_seconds=60)

    async def autoscale(self) -> None:
        """Apply the example's HPA, after `deploy` without it."""
        (part,) = [part for part in await self._example() if _is_hpa(part)]
        await self.controlplane.kubectl("apply", "-f", "-", stdin=part)

    async def until_hpa_reads(self, metric: str, timeout_seconds: float = 30.0) -> None:
        """Wait until the HPA's status shows a value of the metric."""
        deadline = time.monotonic() + timeout_seconds
        while metric not in json.dumps((await self.hpa())["status"].get("currentMetrics", [])):
            if time.monotonic() > deadline:
                raise TimeoutError(json.dumps((await self.hpa())["status"], indent=1))
            await asyncio.sleep(0.3)

    async def _example(self) -> list[str]:
        built = await self.controlplane.kubectl("kustomize", str(self.example))
        manifest = built.replace("namespace: default", f"namespace: {self.namespace}")
        return manifest.split("\n---\n")

    async def doctor(self) -> set[tuple[str, str]]:
        """Return the level and the check of each line that `forescale doctor` has for the test."""
        return {(level, check) for level, check, _ in await self.diagnosis()}

    async def diagnosis(self) -> set[tuple[str, str, str]]:
        """Return the same lines with what was seen."""
        text = await self.forescale("doctor", "-n", self.namespace, "-ojson", codes=(0, 1, 2))
        print(text)  # shown where the test fails
        return {(line["level"], line["check"], line["seen"]) for line in json.loads(text)["lines"]}

    async def forescale(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run the command as a person would, with the admin's kubeconfig; return its output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import sys; from adapter.cli.entry import main; sys.exit(main())",
            *arguments,
            "--kubeconfig",
            str(self.controlplane.kubeconfig),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode in codes
        return out.decode()

    async def scale(self, replicas: int) -> None:
        """Set the Deployment's replicas by hand."""
        await self.api.patch(self._deployment, {"spec": {"replicas": replicas}})

    async def replicas(self) -> int:
        """Return how many replicas the HPA (or the test) wants now."""
        return int((await self.api.get(self._deployment))["spec"]["replicas"])

    async def values(
        self, metric: str, *, version: str = "v1beta2", selector: str = ""
    ) -> dict[str, float]:
        """Return the metric of every served pod, asked as the HPA asks; raises ApiError."""
        found = await self.items(metric, version=version, selector=selector)
        return {item["describedObject"]["name"]: quantity(item["value"]) for item in found}

    async def items(
        self, metric: str, *, version: str = "v1beta2", selector: str = ""
    ) -> list[Json]:
        path = f"{GROUP}/{version}/namespaces/{self.namespace}/pods/%2A/{metric}"
        query = f"?labelSelector={selector}" if selector else ""
        return list((await self.raw(path + query))["items"])

    async def raw(self, path: str) -> Json:
        """`kubectl get --raw PATH`, as JSON."""
        return dict(json.loads(await self.controlplane.kubectl("get", "--raw", path)))

    async def total(self, metric: str, name: str = DEPLOYMENT, *, stat: str = "") -> float:
        """Return the Deployment's total; raises ApiError."""
        path = f"{GROUP}/v1beta2/namespaces/{self.namespace}/deployments.apps/{name}/{metric}"
        query = f"?metricLabelSelector=stat%3D{stat}" if stat else ""
        (item,) = (await self.api.get(path + query))["items"]
        return quantity(item["value"])

    async def hpa(self, name: str = HPA) -> Json:
        path = f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers/{name}"
        return await self.api.get(path)

    async def watch_replicas(self, seconds: float) -> list[int]:
        """Return what the replicas were over the next seconds, twice a second."""
        seen = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen.append(await self.replicas())
            await asyncio.sleep(0.5)
        return seen

    async def until_replicas(
        self, holds: Callable[[int], bool], timeout_seconds: float = 90.0
    ) -> int:
        """Wait until the wanted replicas satisfy `holds`; a TimeoutError shows the HPA's status."""
        deadline = time.monotonic() + timeout_seconds
        while not holds(found := await self.replicas()):
            if time.monotonic() > deadline:
                status = json.dumps((await self.hpa())["status"], indent=1)
                raise TimeoutError(f"{found} replicas after {timeout_seconds:g} s: {status}")
            await asyncio.sleep(0.3)
        return found

    async def until_served(
        self, metric: str, names: set[str], timeout_seconds: float = 30.0
    ) -> dict[str, float]:
        """Wait until exactly these pods have a value."""
        deadline = time.monotonic() + timeout_seconds
        seen: object = None
        while time.monotonic() < deadline:
            try:
                found = await self.values(metric)
            except Exception as error:  # noqa: BLE001 - shown below, if it stays
                seen = error
            else:
                if set(found) == names:
                    return found
                seen = found
            await asyncio.sleep(0.3)
        raise TimeoutError(f"{metric} of {names} after {timeout_seconds:g} s: {seen}")

    @property
    def _deployment(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{DEPLOYMENT}"


def _is_hpa(document: str) -> bool:
    return "kind: HorizontalPodAutoscaler" in document


def quantity(text: str) -> float:
    """Return a quantity as the adapter writes them."""
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


async def refusal(question: Any) -> ApiError:
    """Return the error that a question ends in; fails the test when it does not."""
    try:
        found = await question
    except ApiError as error:
        return error
    raise AssertionError(f"answered {found}, where an error was expected")
