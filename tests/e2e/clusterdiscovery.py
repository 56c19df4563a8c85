"""The discovery that clients of the cluster read: its versions, and that none is stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.adapters import VERSIONS
from tests.e2e.scene import Scene

Json = dict[str, Any]

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
CUSTOM = "custom.metrics.k8s.io"
EXTERNAL = "external.metrics.k8s.io"


async def discovery_is_current(
    scene: Scene, beside: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Check the versions of custom.metrics.k8s.io, and of other groups, as clients see them."""
    async with scene.api.session.get("/apis", headers={"Accept": ACCEPT}) as response:
        groups = {g["metadata"]["name"]: g["versions"] for g in (await response.json())["items"]}
    for group, versions in ({CUSTOM: VERSIONS} | dict(beside or {})).items():
        found = {version["version"]: version for version in groups[group]}
        freshness = {name: version.get("freshness") for name, version in found.items()}
        assert freshness == dict.fromkeys(versions, "Current"), group
        assert all(version["resources"] for version in found.values()), group
