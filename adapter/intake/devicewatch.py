"""The watches of devices: nodes, ResourceClaims and ResourceSlices, where there are any to read.

Clusters before Kubernetes 1.34 have no `resource.k8s.io/v1`, and an older role may not allow these
reads: then the proofs that rest on them are missing, and nothing else is.
"""

from __future__ import annotations

import asyncio
import http

from adapter.cluster import Cluster, Json
from adapter.errors import KubeError
from adapter.intake.allocation import (
    PRODUCT_LABEL,
    SHARING_LABELS,
    SPOT_LABELS,
    Kind,
    leaving,
)
from adapter.intake.roster import Roster
from adapter.intake.shelf import key_of
from adapter.model.gpuusage import GPU_RESOURCE
from adapter.telemetry import Once, event, warn
from sidecar.deviceid import GPU_DRIVER

PATHS = {
    Kind.NODE: "/api/v1/nodes",
    Kind.CLAIM: "/apis/resource.k8s.io/v1/resourceclaims",
    Kind.SLICE: "/apis/resource.k8s.io/v1/resourceslices",
}
_PARAMS = {Kind.SLICE: {"fieldSelector": f"spec.driver={GPU_DRIVER}"}}
_NOT_HERE = (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.FORBIDDEN)
# An upgrade of the cluster or of our role shows after this long.
LOOK_AGAIN_SECONDS = 300.0
RETRY_SECONDS = 2.0


class DeviceWatch:
    """Keeps the roster's nodes, claims and slices equal to what the API server has."""

    def __init__(self, cluster: Cluster, roster: Roster) -> None:
        self._cluster = cluster
        self._roster = roster
        self._looked = {kind: asyncio.Event() for kind in Kind}
        self._once = Once(warn)

    async def looked(self, seconds: float) -> None:
        """Wait until each kind was listed or found missing, at most this long."""
        waits = [asyncio.create_task(done.wait()) for done in self._looked.values()]
        await asyncio.wait(waits, timeout=seconds)
        for wait in waits:
            wait.cancel()

    async def run(self) -> None:
        """Follow all kinds until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in Kind:
                group.create_task(self._follow(kind))

    async def _follow(self, kind: Kind) -> None:
        await self._until_readable(kind)
        events = self._cluster.watch(PATHS[kind], _PARAMS.get(kind, {}), keep=_KEEP[kind])
        async for change in events:
            if change.kind == "list":
                self._roster.replace_devices(kind, change.body)
                self._looked[kind].set()
            elif change.kind == "DELETED":
                self._roster.drop_device(kind, key_of(change.body))
            else:
                self._roster.put_device(kind, change.body)

    async def _until_readable(self, kind: Kind) -> None:
        while True:
            try:
                await self._cluster.get(PATHS[kind], {"limit": "1"})
            except KubeError as error:
                await asyncio.sleep(self._pause(kind, error))
            else:
                if self._once.clear(kind):
                    event("devices_readable", kind=kind)
                return

    def _pause(self, kind: Kind, error: KubeError) -> float:
        if error.code not in _NOT_HERE:
            return RETRY_SECONDS
        self._looked[kind].set()
        if error.code == http.HTTPStatus.FORBIDDEN:
            self._once("devices_unreadable", kind, str(error), kind=kind)
        return LOOK_AGAIN_SECONDS


def _node(raw: Json) -> Json:
    """Keep some hundred bytes of a node's twenty thousand."""
    metadata, status = raw.get("metadata") or {}, raw.get("status") or {}
    spec = raw.get("spec") or {}
    labels = metadata.get("labels") or {}
    capacity = status.get("capacity") or {}
    kept = (*SHARING_LABELS, PRODUCT_LABEL, *SPOT_LABELS)
    return {
        "metadata": {
            "name": metadata.get("name"),
            "creationTimestamp": metadata.get("creationTimestamp"),
            "labels": {label: labels[label] for label in kept if label in labels},
        },
        "spec": {"unschedulable": bool(spec.get("unschedulable")) or leaving(spec)},
        "status": {"capacity": {GPU_RESOURCE: capacity.get(GPU_RESOURCE, "")}},
    }


def _claim(raw: Json) -> Json:
    metadata = raw.get("metadata") or {}
    kept = {key: metadata.get(key) for key in ("namespace", "name")}
    return {"metadata": kept, "status": raw.get("status") or {}}


def _slice(raw: Json) -> Json:
    raw.get("metadata", {}).pop("managedFields", None)
    return raw


_KEEP = {Kind.NODE: _node, Kind.CLAIM: _claim, Kind.SLICE: _slice}
