"""The discovery that clients of the cluster read: its versions, and that none is stale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.e2e.adapters import VERSIONS
from tests.e2e.scene import Scene

Json = dict[str, Any]

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
CUSTOM = "custom.metrics.k8s.io"
EXTERNAL = "external.metrics.k8s.io"
RESOURCE = "metrics.k8s.io"
GROUPS = (CUSTOM, EXTERNAL, RESOURCE)
# The last one is of the informers that the garbage collector and the quotas share.
CONTROLLERS = re.compile(
    rb'"username":"system:(serviceaccount:kube-system:namespace-controller'
    rb"|serviceaccount:kube-system:generic-garbage-collector"
    rb"|serviceaccount:kube-system:resourcequota-controller"
    rb'|kube-controller-manager)"'
)
DOINGS = {
    ("generic-garbage-collector", "get"),
    ("resourcequota-controller", "get"),
    ("kube-controller-manager", "watch"),
}


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


def controllers_read_discovery_alone(scene: Scene, begin: int) -> set[tuple[str, str]]:
    """Check that none of those that act on whatever can be deleted or listed does so with ours.

    What they ask since that place in the audit log counts; that they do ask is of all of it:
    who asked in which way is returned.
    """
    seen, strays = set(), []
    for at, entry in _asked_by_controllers(scene):
        name = entry["user"]["username"].rpartition(":")[2]
        verb, path = entry["verb"], entry["requestURI"].partition("?")[0]
        seen.add((name, verb))
        group = path.removeprefix("/apis/").partition("/")[0]
        if at >= begin and group in GROUPS and (verb, path.count("/")) != ("get", 3):
            strays.append((name, verb, path))
    assert strays == []
    assert seen >= DOINGS
    return seen


def _asked_by_controllers(scene: Scene) -> Iterator[tuple[int, Json]]:
    """Yield each of their requests with its place in the audit log."""
    at = 0
    with scene.controlplane.audit_log.open("rb") as log:
        for line in log:
            if CONTROLLERS.search(line):
                yield at, json.loads(line)
            at += len(line)
