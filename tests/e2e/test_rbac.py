"""Least privilege, from the API server's own audit log: nothing refused, nothing left over."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Iterator
from typing import Any, NamedTuple

import aiohttp
import yaml

from adapter.intake.shards import NAME
from adapter.model.checkpoint import SHARDS
from tests.controlplane.workloads import condition
from tests.e2e.adapters import APISERVICES, NAMESPACE
from tests.e2e.llmpods import ROOT
from tests.e2e.scene import DEPLOYMENT, GPU, GROUP, Scene
from tests.e2e.test_adapter_life import reader_token

Json = dict[str, Any]

USER = f"system:serviceaccount:{NAMESPACE}:forescale-adapter"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/forescale-ca"
CA_DAYS = 30 / 86_400  # replaced after twenty seconds
DELEGATOR = (
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
)


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
            and self.resource == thing["resource"]
            and self.group == thing.get("apiGroup", "")
            and self.namespace in ("", thing.get("namespace", ""))
            and (not self.names or thing.get("name") in self.names)
        )


async def granted(scene: Scene) -> list[Right]:
    """Return the rights that manifests/base gives the adapter, one by one."""
    built = await scene.controlplane.kubectl("kustomize", str(ROOT / "manifests" / "base"))
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


async def test_each_request_needs_one_right_and_each_right_is_needed(scene: Scene) -> None:
    begin = scene.controlplane.audit_log.stat().st_size
    if (await scene.api.session.get(SECRET)).ok:
        await scene.api.delete(SECRET)
    await forget_what_adapters_before_kept(scene)
    scene.adapters.arguments = [f"--tls-ca-days={CA_DAYS:.9f}", "--cold-start-period-seconds=5"]
    await scene.adapters.install()
    await scene.deploy(hpa=False)
    await scene.until_served(GPU, set(scene.llm.pods))
    await ask_with_a_token(scene)
    await the_ca_is_replaced(scene)
    await somebody_takes_a_version(scene)
    await the_cold_starts_are_kept(scene)

    rights = await granted(scene)
    assert len(rights) > 15
    used: set[Right] = set()
    for verb, thing, code, uri in requests(scene, begin):
        allowing = [right for right in rights if right.allows(verb, thing)]
        assert code != 403, (verb, uri)
        assert len(allowing) == 1, (verb, uri, allowing)
        used.update(allowing)
    assert [right for right in rights if right not in used] == []


async def forget_what_adapters_before_kept(scene: Scene) -> None:
    """Take away what an adapter would only change otherwise, and has the right to make."""
    shards = (f"configmap/{NAME}-{number}" for number in range(SHARDS))
    forget = ("-n", NAMESPACE, "delete", f"lease/{NAME}", *shards, "--ignore-not-found")
    await scene.controlplane.kubectl(*forget)


def requests(scene: Scene, begin: int) -> Iterator[tuple[str, Json, int, str]]:
    with scene.controlplane.audit_log.open() as log:
        log.seek(begin)
        for line in log:
            entry = json.loads(line)
            if entry["user"].get("username") == USER:
                code = entry.get("responseStatus", {}).get("code", 0)
                yield entry["verb"], entry["objectRef"], code, entry["requestURI"]


async def ask_with_a_token(scene: Scene) -> None:
    """Ask an adapter by its own address, so that it has to look at a token and a right."""
    secret = await scene.api.get(SECRET)
    authority = base64.b64decode(secret["data"]["tls.crt"]).decode()
    (address,) = scene.adapters.addresses.values()
    token = await reader_token(scene)
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"https://{address}:10250{GROUP}/v1beta2/namespaces/{scene.namespace}/pods/*/{GPU}",
            ssl=ssl.create_default_context(cadata=authority),
            server_hostname=f"forescale.{NAMESPACE}.svc",
            headers={"Authorization": f"Bearer {token}"},
        ) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def the_ca_is_replaced(scene: Scene) -> None:
    before = (await scene.api.get(SECRET))["data"]["tls.crt"]
    await scene.api.until(SECRET, lambda found: found["data"]["tls.crt"] != before)
    await asyncio.sleep(3)
    await scene.adapters.available()


async def the_cold_starts_are_kept(scene: Scene) -> None:
    """Written by the replica with the Lease, which it renews before it writes again."""
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
    lease = f"{leases}/forescale-cold-starts"
    await scene.api.until(lease, lambda found: found["spec"]["renewTime"] != first_of(found))
    shards = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    name = f'"{scene.namespace}","Deployment/{DEPLOYMENT}"'
    await scene.api.until(
        shards, lambda found: any(name in str(one.get("data")) for one in found["items"])
    )


def first_of(lease: Json) -> str:
    return str(lease["spec"]["acquireTime"])


async def somebody_takes_a_version(scene: Scene) -> None:
    path = f"{APISERVICES}/v1beta1.custom.metrics.k8s.io"
    service = {"name": "other", "namespace": scene.namespace, "port": 443}
    await scene.api.patch(path, {"spec": {"service": service}})
    events = f"/api/v1/namespaces/{NAMESPACE}/events"
    words = f"belongs to Service {scene.namespace}/other"
    await scene.api.until(events, lambda found: any(words in e["message"] for e in found["items"]))
    assert condition(await scene.api.get(path), "Available")
