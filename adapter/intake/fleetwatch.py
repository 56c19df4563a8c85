"""The fleet's watches: pods with a source, and the metadata of ReplicaSets, into the Roster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from adapter.cluster import Cluster, Event, Json
from adapter.intake.podjson import SOURCE_LABEL
from adapter.intake.roster import ObjectKey, Roster, key_of

PODS = "/api/v1/pods"
REPLICA_SETS = "/apis/apps/v1/replicasets"


class FleetWatch:
    """Keeps a Roster equal to what the API server has, until cancelled."""

    def __init__(self, cluster: Cluster, roster: Roster) -> None:
        self._cluster = cluster
        self._roster = roster
        self._listed: set[str] = set()

    def synced(self) -> bool:
        """Return whether both lists came at least once."""
        return self._listed == {PODS, REPLICA_SETS}

    async def run(self) -> None:
        """Follow both collections until cancelled."""
        pods = self._cluster.watch(
            PODS, {"labelSelector": f"{SOURCE_LABEL} in (sidecar,scrape)"}, keep=_trim
        )
        parents = self._cluster.watch(REPLICA_SETS, metadata_only=True)
        roster = self._roster
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self._feed(PODS, pods, roster.replace_pods, roster.put_pod, roster.drop_pod)
            )
            group.create_task(
                self._feed(
                    REPLICA_SETS,
                    parents,
                    roster.replace_parents,
                    roster.put_parent,
                    roster.drop_parent,
                )
            )

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


def _trim(pod: Json) -> Json:
    """Drop the largest part of an object that nobody here reads, before the next one is parsed."""
    pod.get("metadata", {}).pop("managedFields", None)
    return pod
