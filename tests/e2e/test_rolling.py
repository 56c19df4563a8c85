"""Two replicas behind a Service: no query of an HPA fails while they or their CA are replaced."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapter.model.bundle import blocks
from tests.adapter.api.test_certfiles import Mounted
from tests.controlplane import pki
from tests.controlplane.cluster import KubectlError
from tests.e2e.adapters import APISERVICES, DEPLOYMENT, NAMESPACE, REPLICAS, VERSIONS
from tests.e2e.asking import Asked, asking
from tests.e2e.scene import GPU, GROUP, PENDING, Scene

Json = dict[str, Any]

RESTARTS = int(os.environ.get("FORESCALE_ROLLING_RESTARTS", "3"))
REPLACEMENTS = int(os.environ.get("FORESCALE_CA_REPLACEMENTS", "2"))
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/forescale-ca"
LEAF_DAYS = 12 / 86_400  # renewed every eight seconds


@asynccontextmanager
async def asked_all_along(scene: Scene) -> AsyncIterator[Asked]:
    await scene.adapters.install(replicas=REPLICAS)
    await scene.deploy(hpa=False)
    (pod,) = [pod["metadata"]["name"] for pod in scene.kubelet.ready(scene.namespace)]
    for metric in (GPU, PENDING):
        await every_replica_serves(scene, metric, pod)
    pods = f"{GROUP}/v1beta2/namespaces/{scene.namespace}/pods/%2A"
    async with asking(scene.api, f"{pods}/{GPU}", f"{pods}/{PENDING}", every_seconds=0.04) as asked:
        yield asked


async def every_replica_serves(scene: Scene, metric: str, pod: str) -> None:
    """Wait for 20 answers in a row: the replicas tick apart, and each query goes to either."""
    await scene.until_served(metric, {pod})
    in_a_row, deadline = 0, time.monotonic() + 30
    while in_a_row < 20:
        try:
            in_a_row = in_a_row + 1 if set(await scene.values(metric)) == {pod} else 0
        except KubectlError:
            in_a_row = 0
        assert time.monotonic() < deadline, metric


async def test_rolling_restarts_lose_no_query(scene: Scene) -> None:
    async with asked_all_along(scene) as asked:
        for number in range(RESTARTS):
            before = set(scene.adapters.processes)
            change = {"metadata": {"annotations": {"test/restart": str(number)}}}
            await scene.api.patch(DEPLOYMENT, {"spec": {"template": change}})
            await rolled(scene, before)
    print(f"{RESTARTS} rolling restarts: {asked.count} queries, {len(asked.failures)} failed")
    assert asked.failures == []
    assert asked.count > 50 * RESTARTS


async def rolled(scene: Scene, before: set[str]) -> None:
    """Wait until the new pods are ready and the old ones have drained and gone."""
    deadline = time.monotonic() + 120
    while True:
        now = set(scene.adapters.processes)
        ready = {pod["metadata"]["name"] for pod in scene.kubelet.ready(NAMESPACE)}
        if len(now) == REPLICAS and not now & before and now <= ready:
            return
        assert time.monotonic() < deadline, (now, before, ready)
        await asyncio.sleep(0.2)


async def test_new_certificates_and_new_cas_lose_no_query(scene: Scene) -> None:
    scene.adapters.arguments = [f"--tls-leaf-days={LEAF_DAYS:.9f}"]
    async with asked_all_along(scene) as asked:
        for number in range(1, REPLACEMENTS + 1):
            before = await bundle(scene)
            await scene.api.delete(SECRET)  # what somebody does whose CA has leaked
            await scene.api.appears(SECRET)
            await changed_over(scene, before, await secret(scene), number)
    renewed = events(scene, "certificate_renewed")
    print(
        f"{REPLACEMENTS} new CAs, {renewed} new certificates: {asked.count} queries,"
        f" {len(asked.failures)} failed"
    )
    assert renewed >= (REPLACEMENTS + 1) * REPLICAS
    assert asked.failures == []
    assert asked.count > 200


async def test_mounted_certificates_and_their_cas_are_replaced_without_a_lost_query(
    scene: Scene, tmp_path: Path
) -> None:
    mounted = Mounted(tmp_path)
    old, new = (pki.authority(tmp_path / name, name) for name in ("old", "new"))
    mounted.put(old)
    scene.adapters.arguments = [f"--tls-folder={mounted.folder}"]
    async with asked_all_along(scene) as asked:
        before = await bundle(scene)
        mounted.put(old)
        await told(scene, "certificate_renewed", REPLICAS)
        assert await bundle(scene) == before
        mounted.put(new)
        after = set(blocks(new.pair.certificate.read_text()))
        await changed_over(scene, before, after, 1)
    assert events(scene, "certificate_renewed") == 2 * REPLICAS
    assert asked.failures == []
    assert asked.count > 100


async def changed_over(scene: Scene, before: set[str], after: set[str], number: int) -> None:
    """Wait until kube-apiserver was told of the new CA, and every replica serves under it."""
    assert not after & before
    await told(scene, "authority_coming", number * REPLICAS)
    deadline = time.monotonic() + 60
    while not after <= await bundle(scene):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert before <= await bundle(scene)  # a replica that is slower is still trusted
    await told(scene, "authority_served", number * REPLICAS)
    await asyncio.sleep(2)


async def told(scene: Scene, event: str, count: int) -> None:
    """Wait until the replicas together have logged so many of the event."""
    deadline = time.monotonic() + 60
    while events(scene, event) < count:
        assert time.monotonic() < deadline, scene.adapters.log()
        await asyncio.sleep(0.2)


def events(scene: Scene, event: str) -> int:
    return scene.adapters.log().count(f'"event": "{event}"')


async def secret(scene: Scene) -> set[str]:
    """Return the CA that the Secret holds."""
    data = (await scene.api.get(SECRET))["data"]
    return set(blocks(base64.b64decode(data["tls.crt"]).decode()))


async def bundle(scene: Scene) -> set[str]:
    """Return the CAs that both versions' APIServices verify by."""
    found = []
    for version in VERSIONS:
        spec = (await scene.api.get(f"{APISERVICES}/{version}.custom.metrics.k8s.io"))["spec"]
        found.append(set(blocks(base64.b64decode(spec["caBundle"]).decode())))
    return found[0] & found[1]
