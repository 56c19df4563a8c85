"""The cluster: what the adapter asks of a Kubernetes API server, as raw JSON in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

Json = dict[str, Any]
Keep = Callable[[Json], Json | None]


class Event(NamedTuple):
    """One step of a watch.

    `list` comes with every object there is (list of JSON), at first and whenever the watch had to
    start anew: what it lacks is gone. The others come with the one object that changed.
    """

    kind: Literal["list", "ADDED", "MODIFIED", "DELETED"]
    body: Any


class Patch(StrEnum):
    """The kinds of patch, by content type."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


class Cluster(Protocol):
    """One API server; every call raises KubeError and ends within `deadline_seconds`."""

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        deadline_seconds: float = 5.0,
    ) -> Json:
        """Return the object or list at the path."""

    async def create(self, path: str, body: Json, *, deadline_seconds: float = 5.0) -> Json:
        """Create the object in the collection at the path; 409 where its name is taken."""

    async def patch(
        self,
        path: str,
        body: Json | list[Json],
        *,
        kind: Patch = Patch.MERGE,
        deadline_seconds: float = 5.0,
    ) -> Json:
        """Change the object at the path."""

    async def delete(
        self, path: str, *, uid: str | None = None, deadline_seconds: float = 5.0
    ) -> Json:
        """Delete the object at the path; 409 where it is not the one with this UID."""

    def watch(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        metadata_only: bool = False,
        keep: Keep | None = None,
    ) -> AsyncIterator[Event]:
        """Follow a collection for ever; troubles are logged and retried, never raised.

        `keep` trims each object of a list while its page is parsed, or drops it: None.
        """


async def located(kube: Cluster, version: str, kind: str) -> tuple[str, str]:
    """Return the root of an API version, and how it calls a kind in paths; empty for an unknown."""
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    resources = (await kube.get(root))["resources"]
    plural = (r["name"] for r in resources if r["kind"] == kind and "/" not in r["name"])
    return root, next(plural, "")
