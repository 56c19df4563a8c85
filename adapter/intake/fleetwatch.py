"""The fleet's watches: pods with a source, and whose they are, into the Roster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from adapter.cluster import Cluster, Event, Json
from adapter.intake import backends, podjson
from adapter.intake.annotations import SOURCE_LABEL
from adapter.intake.devicewatch import DeviceWatch
from adapter.intake.roster import Roster
from adapter.intake.shelf import ObjectKey, Shelf, key_of
from adapter.model.fleet import SourceKind
from adapter.model.owners import INGRESS, REPLICA_SET, SERVICE, Kind

PODS = "/api/v1/pods"
DEVICES_SECONDS = 5.0  # a first look takes milliseconds; without one pods are followed all the same
SELECTOR = f"{SOURCE_LABEL} in ({','.join(SourceKind)})"


class FleetWatch:
    """Keeps a Roster equal to what the API server has, until cancelled.

    With `all_pods` those without a source are watched too, and kept where they hold a GPU: a node
    source may speak for them.
    """

    def __init__(self, cluster: Cluster, roster: Roster, *, all_pods: bool = False) -> None:
        self._cluster = cluster
        self._roster = roster
        self._devices = DeviceWatch(cluster, roster)
        self._params = {} if all_pods else {"labelSelector": SELECTOR}
        self._listed: set[str] = set()

    def synced(self) -> bool:
        """Return whether the pods and their way to a Deployment came at least once.

        Not the others: an adapter that may not list Ingresses answers all the rest.
        """
        return {PODS, path_of(REPLICA_SET)} <= self._listed

    async def run(self) -> None:
        """Follow all collections, and the devices that pods hold, until cancelled."""
        watch, roster = self._cluster.watch, self._roster
        pods = watch(PODS, self._params, keep=_trim)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._devices.run())
            for kind, shelf in roster.parents.items():
                path = path_of(kind)
                group.create_task(self._fill(path, watch(path, metadata_only=True), shelf))
            chosen: dict[Kind, Shelf[Any]] = {
                SERVICE: roster.backends.services,
                INGRESS: roster.backends.ingresses,
            }
            for kind, kept in chosen.items():
                path = path_of(kind)
                group.create_task(self._fill(path, watch(path, keep=backends.trim), kept))
            for kind, kept in roster.backends.others.items():
                path = path_of(kind)
                group.create_task(self._fill(path, watch(path, keep=backends.chooser), kept))
            # A pod's first frame is judged by what its node and its claims say.
            await self._devices.looked(DEVICES_SECONDS)
            group.create_task(self._feed(PODS, pods, self._replace, self._put, roster.drop_pod))

    async def _fill(self, path: str, events: AsyncIterator[Event], shelf: Shelf[Any]) -> None:
        await self._feed(path, events, shelf.replace, shelf.put, shelf.drop)

    def _replace(self, pods: Iterable[Json]) -> None:
        self._roster.replace_pods(filter(podjson.concerns, pods))

    def _put(self, pod: Json) -> None:
        """Take in a pod; one that lost its label is none of ours any more."""
        if podjson.concerns(pod):
            self._roster.put_pod(pod)
        else:
            self._roster.drop_pod(key_of(pod))

    async def _feed(
        self,
        path: str,
        events: AsyncIterator[Event],
        replace: Callable[[Iterable[Json]], None],
        put: Callable[[Json], None],
        drop: Callable[[ObjectKey], None],
    ) -> None:
        async for event in events:
            if event.kind == "list":
                replace(event.body)
                self._listed.add(path)
            elif event.kind == "DELETED":
                drop(key_of(event.body))
            else:
                put(event.body)


def path_of(kind: Kind) -> str:
    """Return where all objects of a kind are listed."""
    prefix = "/apis/" if kind.group else "/api/"
    return f"{prefix}{kind.api_version}/{kind.resource}"


def _trim(pod: Json) -> Json | None:
    """Drop what nobody here reads of a pod, before the next page is parsed: of most, all of it."""
    if not podjson.concerns(pod):
        return None
    (pod.get("metadata") or {}).pop("managedFields", None)
    return pod
