"""On a real cluster: who gets in through kube-apiserver, and who gets in past it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.controlplane import pki
from tests.controlplane.cluster import KubectlError
from tests.controlplane.pki import Authority, Pair
from tests.e2e.adapters import NAMESPACE
from tests.e2e.scene import Scene

Json = dict[str, Any]

GROUP = "/apis/custom.metrics.k8s.io"
METRIC = f"{GROUP}/v1beta2/namespaces/default/pods/%2A/nvidia_gpu_utilization"
DISCOVERY = f"{GROUP}/v1beta1"
ADMIN = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
# What the front proxy writes for the aggregator's own user, which has no groups.
AGGREGATOR = {"X-Remote-User": "system:kube-aggregator"}
SERVER_NAME = f"forescale.{NAMESPACE}.svc"
READER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "forescale-metrics-reader",
    },
}


@dataclass
class Direct:
    """Asks one adapter pod by its address, past kube-apiserver."""

    scene: Scene
    folder: Path
    address: str
    authority: str  # PEM of our own CA

    async def ask(
        self,
        path: str = METRIC,
        *,
        client: Pair | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """Return the HTTP status and the body; status 0 where the handshake was refused."""
        context = ssl.create_default_context(cadata=self.authority)
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        url = f"https://{self.address}:10250{path}"
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
                session.get(
                    url,
                    headers=headers,
                    server_hostname=SERVER_NAME,
                    timeout=aiohttp.ClientTimeout(total=10),
                ) as response,
            ):
                return response.status, await response.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    def client(self, signer: Authority, name: str) -> Pair:
        return pki.client(signer, self.folder / f"{name}-{time.monotonic_ns()}", name)


@pytest.fixture
async def direct(scene: Scene, tmp_path: Path) -> AsyncIterator[Direct]:
    await scene.adapters.install()
    [pod] = await scene.kubelet.wait_ready(NAMESPACE, 1)
    address = pod["status"]["podIP"]
    secret = await scene.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/forescale-ca")
    authority = base64.b64decode(secret["data"]["tls.crt"]).decode()
    yield Direct(scene, tmp_path, address, authority)
    # Before the fixture of the scene deletes the Deployment.
    await scene.adapters.uninstall()


async def test_everybody_is_who_the_cluster_says(direct: Direct) -> None:
    await _certificates(direct)
    await _discovery_for_the_aggregator(direct)
    await _tokens(direct)
    await _through_kube_apiserver(direct)
    await _a_rotated_ca(direct)


async def _certificates(direct: Direct) -> None:
    """Only the right CA together with the right name speaks for others."""
    cluster = direct.scene.controlplane.pki
    right, wrong = cluster.front_proxy_authority, cluster.authority
    clients = {
        "none": (None, 401),
        "the cluster's CA, the proxy's name": (direct.client(wrong, "front-proxy-client"), 401),
        "the right CA, another name": (direct.client(right, "somebody"), 401),
        "the cluster's admin": (cluster.admin, 401),
        "the front proxy": (cluster.front_proxy, 200),
    }
    for who, (client, expected) in clients.items():
        code, body = await direct.ask(client=client, headers=ADMIN)
        assert code == expected, (who, body)
        assert json.loads(body)["kind"] == ("Status" if code != 200 else "MetricValueList")
    nobody, _ = await direct.ask(client=cluster.front_proxy)
    assert nobody == 401
    for path, client in itertools.product(("/livez", "/readyz", "/healthz"), (None, cluster.admin)):
        assert await direct.ask(path, client=client) == (200, "ok")


async def _discovery_for_the_aggregator(direct: Direct) -> None:
    """A refusal here would make the whole group stale, and namespaces undeletable."""
    proxy = direct.scene.controlplane.pki.front_proxy
    for path in ("/apis", GROUP, DISCOVERY, "/openapi/v2", "/openapi/v3"):
        code, body = await direct.ask(path, client=proxy, headers=AGGREGATOR)
        assert code == 200, (path, body)
    code, body = await direct.ask(client=proxy, headers=AGGREGATOR)
    assert code == 403
    assert 'User "system:kube-aggregator" cannot get resource' in json.loads(body)["message"]


async def _tokens(direct: Direct) -> None:
    """A service account's token is as good as its rights; a token of nobody is none."""
    scene = direct.scene
    account = f"/api/v1/namespaces/{scene.namespace}/serviceaccounts"
    for name in ("reader", "stranger"):
        await scene.api.post(account, {"metadata": {"name": name}})
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": scene.namespace}
    binding = READER | {"metadata": {"name": f"reader-{scene.namespace}"}, "subjects": [subject]}
    await scene.api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    expected = {"reader": 200, "stranger": 403}
    for name, code in expected.items():
        created = await scene.controlplane.kubectl("create", "token", name, "-n", scene.namespace)
        headers = {"Authorization": f"Bearer {created.strip()}"}
        assert (await direct.ask(headers=headers))[0] == code, name
    assert (await direct.ask(headers={"Authorization": "Bearer bad.bad.bad"}))[0] == 401


async def _through_kube_apiserver(direct: Direct) -> None:
    """The same two accounts, asked as everybody asks: by the cluster's own address."""
    scene = direct.scene
    answer = await scene.raw(METRIC)
    assert answer["items"] == []
    user = f"system:serviceaccount:{scene.namespace}"
    raw = ("get", "--raw", METRIC)
    assert await scene.controlplane.kubectl(*raw, "--as", f"{user}:reader")
    with pytest.raises(KubectlError, match="Forbidden"):
        await scene.controlplane.kubectl(*raw, "--as", f"{user}:stranger")
    with pytest.raises(KubectlError, match="no metric is called `nope`"):
        await scene.raw(f"{GROUP}/v1beta2/namespaces/default/pods/*/nope")


async def _a_rotated_ca(direct: Direct) -> None:
    """A second CA in the API server's file counts without a restart of anything."""
    cluster = direct.scene.controlplane.pki
    fresh = pki.authority(direct.folder / "next-ca", "front-proxy-ca-next")
    client = direct.client(fresh, "front-proxy-client")
    assert (await direct.ask(client=client, headers=ADMIN))[0] == 0
    file = cluster.front_proxy_authority.pair.certificate
    before = file.read_text()
    file.write_text(before + fresh.pair.certificate.read_text())
    try:
        async with asyncio.timeout(90):  # kube-apiserver looks at the file, and publishes it
            while (await direct.ask(client=client, headers=ADMIN))[0] != 200:
                await asyncio.sleep(0.5)
        assert (await direct.ask(client=cluster.front_proxy, headers=ADMIN))[0] == 200
        assert (await direct.scene.raw(METRIC))["items"] == []
    finally:
        file.write_text(before)
