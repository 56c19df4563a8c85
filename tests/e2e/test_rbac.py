"""Least privilege, from the API server's own audit log: nothing refused, nothing left over."""

from __future__ import annotations

import asyncio
import base64
import ssl
from typing import Any

import aiohttp

from adapter.intake.shards import NAME
from adapter.model.checkpoint import SHARDS
from tests.controlplane.workloads import condition
from tests.e2e.adapters import APISERVICES, NAMESPACE
from tests.e2e.rights import BASE, granted, requests, used
from tests.e2e.scene import DEPLOYMENT, GPU, GROUP, Scene
from tests.e2e.test_adapter_life import reader_token

Json = dict[str, Any]

SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/forescale-ca"
CA_DAYS = 30 / 86_400  # replaced after twenty seconds
# Opt-in, and without a right of their own: the base has the names of the external APIService.
OPTED_IN = ["--external-enabled", "true", "--prometheus-url=http://10.77.35.1:9090"]


async def test_each_request_needs_one_right_and_each_right_is_needed(scene: Scene) -> None:
    begin = scene.controlplane.audit_log.stat().st_size
    if (await scene.api.session.get(SECRET)).ok:
        await scene.api.delete(SECRET)
    await forget_what_adapters_before_kept(scene)
    scene.adapters.arguments = [f"--tls-ca-days={CA_DAYS:.9f}", "--cold-start-period-seconds=5"]
    scene.adapters.arguments += OPTED_IN
    await scene.adapters.install()
    await scene.deploy(hpa=False)
    await scene.until_served(GPU, set(scene.llm.pods))
    await ask_with_a_token(scene)
    await the_ca_is_replaced(scene)
    await somebody_takes_a_version(scene)
    await the_cold_starts_are_kept(scene)

    rights = await granted(scene, BASE)
    assert len(rights) > 15
    needed = used(rights, requests(scene, begin))
    assert [right for right in rights if right not in needed] == []
    asked = {thing.get("name") for _, thing, _, _ in requests(scene, begin)}
    assert asked >= {
        name for right in rights if right.resource == "apiservices" for name in right.names
    }


async def forget_what_adapters_before_kept(scene: Scene) -> None:
    """Take away what an adapter would only change otherwise, and has the right to make."""
    shards = (f"configmap/{NAME}-{number}" for number in range(SHARDS))
    forget = ("-n", NAMESPACE, "delete", f"lease/{NAME}", *shards, "--ignore-not-found")
    await scene.controlplane.kubectl(*forget)


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
