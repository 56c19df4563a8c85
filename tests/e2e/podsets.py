"""Pods of sets: a StatefulSet's, and a LeaderWorkerSet's as its own controller makes them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tests.controlplane.api import ApiError
from tests.e2e.scene import GROUP, Scene, quantity

Json = dict[str, Any]

LWS_GROUP = "leaderworkerset.x-k8s.io"
LWS = "leaderworkerset.sigs.k8s.io"  # what its labels begin with
STATEFUL, LEADERS, HPA = "chat-state", "chat-lws", "chat-lws-hpa"
PLACES = (f"statefulsets.apps/{STATEFUL}", f"leaderworkersets.{LWS_GROUP}/{LEADERS}")
# Whose figures make the total of each place: a StatefulSet's pods, and the leaders of the other.
SELECTORS = (f"app={STATEFUL}", f"{LWS}/name={LEADERS},{LWS}/worker-index=0")
GPU = "nvidia_gpu_utilization"
MEMORY = "nvidia_gpu_memory_used_bytes"
SIZE = GROUPS = 2
PODS = 2 + GROUPS * SIZE
GIB = 2**30


class PodSets:
    """One StatefulSet and one LeaderWorkerSet, in a namespace beside the scene's."""

    def __init__(self, scene: Scene) -> None:
        self.namespace = f"{scene.namespace}-sets"
        self._scene = scene
        self._api = scene.api

    async def define(self, target: int) -> None:
        """Make the namespace, the kind, one object of it and its HPA, by the object's total.

        The controllers' own list of kinds is made anew every 30 s only: the earlier the better.
        """
        kubectl = self._scene.controlplane.kubectl
        await kubectl("apply", "-f", "-", stdin=json.dumps(_definition()))
        await self._api.post("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        await self._api.appears(f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default")
        self._scene.kubelet.take(self.namespace)
        await kubectl("wait", "--for=condition=Established", f"crd/leaderworkersets.{LWS_GROUP}")
        await self._api.post(self._path("autoscaling/v2", "horizontalpodautoscalers"), _hpa(target))
        lws = {"apiVersion": f"{LWS_GROUP}/v1", "kind": "LeaderWorkerSet"}
        spec = {"replicas": GROUPS, "leaderWorkerTemplate": {"size": SIZE}}
        path = self._path(f"{LWS_GROUP}/v1", "leaderworkersets")
        made = await self._api.post(path, lws | {"metadata": {"name": LEADERS}, "spec": spec})
        self._lws = lws | {"name": LEADERS, "uid": made["metadata"]["uid"], "controller": True}
        status = {"replicas": GROUPS, "readyReplicas": GROUPS, "hpaPodSelector": SELECTORS[1]}
        await self._api.patch(f"{path}/{LEADERS}/status", {"status": status})

    async def deploy(self, template: Json) -> None:
        """Make the sets of that pod template, wait until they serve, and fill every GPU apart."""
        await self._set(STATEFUL, template, {"app": STATEFUL}, replicas=2)
        group = {f"{LWS}/name": LEADERS}
        leader = group | {f"{LWS}/worker-index": "0"}
        await self._set(LEADERS, template, leader, replicas=GROUPS, owner=self._lws)
        for index in range(GROUPS):
            await self._group(template, group | {f"{LWS}/group-index": str(index)}, index)
        await self._scene.kubelet.wait_ready(self.namespace, PODS, timeout_seconds=60)
        for number, pod in enumerate(self._scene.kubelet.ready(self.namespace)):
            gpus = self._scene.llm.pods[pod["metadata"]["name"]].gpus
            gpus.set(0, memory_used_bytes=(10 + number) * GIB)

    async def _group(self, template: Json, labels: Mapping[str, str], index: int) -> None:
        """Number a leader, as the webhook does, and make its workers, which it owns."""
        name = f"{LEADERS}-{index}"
        path = self._path("v1", f"pods/{name}")
        pod = await self._api.appears(path)
        await self._api.patch(path, {"metadata": {"labels": labels}})
        owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "controller": True}
        owner["uid"] = pod["metadata"]["uid"]
        workers = {**labels, f"{LWS}/worker-index": "1"}
        await self._set(name, template, workers, replicas=SIZE - 1, owner=owner, first=1)

    async def _set(
        self,
        name: str,
        template: Json,
        labels: Mapping[str, str],
        *,
        replicas: int,
        owner: Json | None = None,
        first: int = 0,
    ) -> None:
        metadata = {
            "labels": template["metadata"]["labels"] | {"app": name} | labels,
            "annotations": {f"{LWS}/size": str(SIZE)} if owner else {},
        }
        spec = {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "ordinals": {"start": first},
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": metadata, "spec": template["spec"]},
        }
        body = {"metadata": {"name": name, "ownerReferences": [owner] if owner else []}}
        await self._api.post(self._path("apps/v1", "statefulsets"), body | {"spec": spec})

    async def until_totals(self, metric: str, expected: tuple[float, float]) -> None:
        """Wait until each place's total is what is expected, and what its pods serve together."""
        deadline = time.monotonic() + 20
        found: object = None
        while found != (expected, expected):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{metric} is {found}, not {expected}")
            await asyncio.sleep(0.3)
            totals = [await self._sum(f"{place}/{metric}", "") for place in PLACES]
            pods = [await self._sum(f"pods/*/{metric}", chosen) for chosen in SELECTORS]
            found = (tuple(totals), tuple(pods))

    async def _sum(self, place: str, selector: str) -> float | None:
        query = {"metricLabelSelector": "stat=raw"}
        query |= {"labelSelector": selector} if selector else {}
        path = f"{GROUP}/v1beta2/namespaces/{self.namespace}/{place}"
        try:
            items = (await self._api.get(path, query))["items"]
        except Exception as error:  # noqa: BLE001 - shown by the caller, if it stays
            print(place, error)
            return None
        return sum(quantity(item["value"]) for item in items)

    async def until_scaled(self, replicas: int, timeout_seconds: float = 40.0) -> Json:
        """Wait until the HPA asks the LeaderWorkerSet for so many; return the HPA."""
        path = self._path(f"{LWS_GROUP}/v1", f"leaderworkersets/{LEADERS}")
        hpa = self._path("autoscaling/v2", f"horizontalpodautoscalers/{HPA}")
        try:
            await self._api.until(
                path,
                lambda found: found["spec"]["replicas"] == replicas,
                timeout_seconds=timeout_seconds,
            )
        except TimeoutError as error:
            error.add_note(json.dumps((await self._api.get(hpa))["status"]))
            raise
        return await self._api.get(hpa)

    async def delete(self) -> None:
        """Ask for the end of all of it; the pods' processes end with the scene's at the latest."""
        with suppress(ApiError):  # not even defined
            await self._api.delete(f"/api/v1/namespaces/{self.namespace}")
            await self._api.delete(self._path("apps/v1", "statefulsets"))
            await self._api.delete(self._path("v1", "pods"))

    def _path(self, version: str, rest: str) -> str:
        base = "/api/v1" if version == "v1" else f"/apis/{version}"
        return f"{base}/namespaces/{self.namespace}/{rest}"


def memory_totals() -> tuple[float, float]:
    """Return what the sets' pods use together; by name the LeaderWorkerSet's come first."""
    used = [(10.0 + number) * GIB for number in range(PODS)]
    return sum(used[-2:]), sum(used[:-2])


def _hpa(target: int) -> Json:
    """Return the HPA of the LeaderWorkerSet, by that set's own total for each of its groups."""
    lws = {"apiVersion": f"{LWS_GROUP}/v1", "kind": "LeaderWorkerSet", "name": LEADERS}
    metric = {"name": GPU, "selector": {"matchLabels": {"stat": "raw"}}}
    by = {"type": "AverageValue", "averageValue": str(target)}
    total = {"type": "Object", "object": {"describedObject": lws, "metric": metric, "target": by}}
    spec = {"scaleTargetRef": lws, "minReplicas": 1, "maxReplicas": 8, "metrics": [total]}
    return {"metadata": {"name": HPA}, "spec": spec}


def _definition() -> Json:
    """Return the kind with what of it an HPA needs: replicas, and whose pods are counted."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.hpaPodSelector",
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    version["subresources"] = {"status": {}, "scale": scale}
    names = {
        "plural": "leaderworkersets",
        "singular": "leaderworkerset",
        "kind": "LeaderWorkerSet",
        "shortNames": ["lws"],
    }
    # The API server takes a name under k8s.io only with a word on who approved it.
    approved = {"api-approved.kubernetes.io": "unapproved, a test's"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"leaderworkersets.{LWS_GROUP}", "annotations": approved},
        "spec": {"group": LWS_GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }
