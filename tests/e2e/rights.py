"""The rights that manifests give the adapter, and the requests that need them, as audited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.e2e.adapters import NAMESPACE
from tests.e2e.llmpods import ROOT
from tests.e2e.scene import Scene

Json = dict[str, Any]

BASE = ROOT / "manifests" / "base"
OVERLAYS = ROOT / "manifests" / "overlays"
USER = f"system:serviceaccount:{NAMESPACE}:forescale-adapter"
DELEGATOR = (
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
)
FORBIDDEN = 403


class Right(NamedTuple):
    """One verb on one resource, as a rule of ours grants it; no names: any."""

    namespace: str
    group: str
    resource: str
    verb: str
    names: tuple[str, ...]

    def allows(self, verb: str, thing: Json) -> bool:
        return (
            self.verb == verb
            and self.resource in ("*", thing["resource"])
            and self.group == thing.get("apiGroup", "")
            and self.namespace in ("", thing.get("namespace", ""))
            and (not self.names or thing.get("name") in self.names)
        )


class Request(NamedTuple):
    """What the adapter asked of kube-apiserver, or of an API behind it, which asked about it."""

    verb: str
    thing: Json
    refused: bool
    words: str


async def granted(scene: Scene, manifests: Path) -> list[Right]:
    """Return the rights that the manifests give the adapter, one by one."""
    built = await scene.controlplane.kubectl("kustomize", str(manifests))
    found = [Right("", group, resource, "create", ()) for group, resource in DELEGATOR]
    for role in yaml.safe_load_all(built):
        if role["kind"] in ("Role", "ClusterRole") and "reader" not in role["metadata"]["name"]:
            found += _rights(role)
    return found


def _rights(role: Json) -> Iterator[Right]:
    namespace = role["metadata"].get("namespace", "")
    for rule in role["rules"]:
        names = tuple(rule.get("resourceNames", ()))
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from (Right(namespace, group, resource, v, names) for v in rule["verbs"])


def used(rights: list[Right], asked: Iterator[Request]) -> set[Right]:
    """Return the rights that were needed; each request is allowed, and by exactly one of them."""
    found: set[Right] = set()
    for verb, thing, refused, words in asked:
        allowing = [right for right in rights if right.allows(verb, thing)]
        assert not refused, words
        assert len(allowing) == 1, (words, allowing)
        found.update(allowing)
    return found


def requests(scene: Scene, begin: int) -> Iterator[Request]:
    """Yield the adapter's requests from that place in the audit log on."""
    with scene.controlplane.audit_log.open() as log:
        log.seek(begin)
        for line in log:
            if USER in line:
                yield from _request(json.loads(line))


def _request(entry: Json) -> Iterator[Request]:
    verb, of, uri = entry["verb"], entry.get("objectRef", {}), entry["requestURI"]
    if entry["user"].get("username") == USER:
        code = entry.get("responseStatus", {}).get("code", 0)
        yield Request(verb, of, code == FORBIDDEN, f"{verb} {uri}")
        return
    # An API behind the adapter asks whether the adapter may; discovery is everybody's.
    spec = entry.get("requestObject", {}).get("spec", {})
    about = spec.get("resourceAttributes")
    if of.get("resource") != "subjectaccessreviews" or spec.get("user") != USER or not about:
        return
    allowed = entry["responseObject"]["status"]["allowed"]
    thing = about | {"apiGroup": about.get("group", "")}
    yield Request(about["verb"], thing, not allowed, f"{about} of an API behind it")


async def each_right_of_an_overlay_is_needed(scene: Scene, overlay: str, begin: int) -> None:
    """Check what an overlay grants beyond the base: each right is used, and none is missing."""
    base, whole = await granted(scene, BASE), await granted(scene, OVERLAYS / overlay)
    own = set(whole) - set(base)
    assert own
    assert own - used(whole, requests(scene, begin)) == set()
