"""The removal: takes our APIServices out of a cluster, and no others."""

from __future__ import annotations

import msgspec

from adapter.cluster import Cluster
from adapter.errors import KubeError
from adapter.intake.apiservice import CUSTOM, EXTERNAL, PATH, UNINSTALLED, is_ours, owner_words
from adapter.intake.resourceservice import NAME as RESOURCE_METRICS
from adapter.settings import Api

_NOT_FOUND = 404


class Removal(msgspec.Struct, frozen=True):
    """What `uninstall` did about one APIService."""

    name: str
    deleted: bool
    words: str


async def uninstall(cluster: Cluster, api: Api) -> list[Removal]:
    """Delete the APIServices that point to our Service, no others; raise KubeError.

    Each is marked before, so that an adapter that still runs does not make it again.
    """
    names = (*CUSTOM.names(), *EXTERNAL.names())
    removals = [await _remove(cluster, api, name) for name in names]
    return [*removals, *await _left(cluster, api)]


async def _left(cluster: Cluster, api: Api) -> list[Removal]:
    """Tell of metrics.k8s.io where it points to us: to delete it would take CPU metrics away."""
    try:
        found = await cluster.get(f"{PATH}/{RESOURCE_METRICS}")
    except KubeError as error:
        if error.code != _NOT_FOUND:
            raise
        return []
    if not is_ours(found, api):
        return []
    words = "kept: give it back to metrics-server before you delete the adapter (give-back.yaml)"
    return [Removal(RESOURCE_METRICS, deleted=False, words=words)]


async def _remove(cluster: Cluster, api: Api, name: str) -> Removal:
    path = f"{PATH}/{name}"
    try:
        found = await cluster.get(path)
    except KubeError as error:
        if error.code != _NOT_FOUND:
            raise
        return Removal(name, deleted=False, words="was not there")
    if not is_ours(found, api):
        return Removal(name, deleted=False, words=f"kept: it belongs to {owner_words(found)}")
    await cluster.patch(path, {"metadata": {"annotations": {UNINSTALLED: "true"}}})
    await cluster.delete(path, uid=found["metadata"]["uid"])
    return Removal(name, deleted=True, words="deleted")
