"""The API server as it runs in a cluster, on loopback: TLS, reviews by a small API server, a world.

Shared by the tests of its parts.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aiohttp
from yarl import URL

from adapter.api.answers import Answers
from adapter.api.auth import Auth
from adapter.api.certificate import Certificate
from adapter.api.fallthrough import Fallthrough
from adapter.api.identity import FrontProxy
from adapter.api.resource import Resource
from adapter.api.server import Server, Traced
from adapter.intake.kube import Kube
from adapter.model.asked import Asked
from adapter.model.owners import KNOWN
from adapter.settings import Api, Settings, Tls
from adapter.telemetry import Metrics
from tests.adapter.model.world import World, serving_pod
from tests.controlplane import pki
from tests.controlplane.pki import Authority, Pair
from tests.fakes.apiserver import FakeApiServer

METRIC = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/nvidia_gpu_utilization"
Answer = tuple[int, Mapping[str, str], bytes]


class Serving:
    """An async context manager; `get` asks as the client with a certificate, headers or none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(serving_pod("llm-0"))
        self.world.say["llm-0"] = {"gpu_busy_percent": 50.0, "pending": 2.0}
        self.world.advance(40)
        self.settings = Settings(api=Api(host="127.0.0.1", port=0), tls=Tls())
        self.apiserver = FakeApiServer()
        self.metrics = Metrics()
        self.why_unready: str | None = None
        self.owners = KNOWN
        self.now = 0.0  # added to the clock of the reviews' caches
        self.front_proxies = self.authority("front-proxies")
        self.cluster = self.authority("cluster")
        self.proxy = self.client(self.front_proxies, "front-proxy-client")
        self._stack = AsyncExitStack()

    def authority(self, name: str) -> Authority:
        return pki.authority(self.folder / f"{name}-ca", f"{name}-ca")

    def client(self, authority: Authority, common_name: str) -> Pair:
        stem = self.folder / f"{common_name}-{time.monotonic_ns()}"
        return pki.client(authority, stem, common_name)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.apiserver)
        self.kube = await Kube.connect(self.apiserver.kubeconfig(self.folder))
        self._stack.push_async_callback(self.kube.close)
        self.certificate = await Certificate.obtain(self.kube, self.settings)
        self.auth = Auth(
            self.kube,
            verify=self.certificate.front_proxy_name,
            now=lambda: time.monotonic() + self.now,
        )
        self._stack.push_async_callback(self.auth.close)
        self.trust(pem(self.front_proxies), pem(self.cluster), ["front-proxy-client"])
        self.server = Server(
            self.answers(),
            owners=self.owners,
            auth=self.auth,
            metrics=self.metrics,
            ready=lambda: self.why_unready,
            now=time.monotonic,
            resource=self.resource(),
            fallthrough=self.fallthrough(),
            traced=self.traced(),
        )
        await self.server.start(self.settings.api, self.certificate.context)
        self._stack.push_async_callback(self.server.stop, 0.0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def resource(self) -> Resource | None:
        """What answers metrics.k8s.io; nothing, where metrics-server is not behind us."""
        return None

    def fallthrough(self) -> Fallthrough | None:
        """What answers for metrics that are not ours; nothing, where no adapter is behind us."""
        return None

    def traced(self) -> Traced | None:
        """Who makes spans of queries; nobody, where OpenTelemetry is not asked for."""
        return None

    def answers(self) -> Answers:
        return Answers(
            read=lambda: self.world.snapshot,
            asked=Asked(),
            now=lambda: self.world.now,
            metrics=self.metrics,
            stall_seconds=5.0,
        )

    def trust(self, front_proxies: str, clients: str, names: list[str]) -> None:
        """What the cluster's ConfigMap says from now on."""
        data = {
            "client-ca-file": clients,
            "requestheader-client-ca-file": front_proxies,
            "requestheader-allowed-names": json.dumps(names),
            "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        }
        self.auth.front_proxy = FrontProxy.of(data)
        self.certificate.trust(front_proxies, clients)

    def context(self, client: Pair | None = None) -> ssl.SSLContext:
        """How the aggregator connects: our CA alone, TLS verified, a client certificate."""
        secret = self.apiserver.get("/api/v1/namespaces/forescale-system/secrets", "forescale-ca")
        context = ssl.create_default_context(cadata=_decoded(secret["data"]["tls.crt"]))
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        return context

    async def ask(
        self,
        path: str = METRIC,
        *,
        method: str = "GET",
        client: Pair | None = None,
        headers: list[tuple[str, str]] | None = None,
    ) -> Answer:
        """One request on a connection of its own, named as the aggregator names us."""
        connector = aiohttp.TCPConnector(ssl=self.context(client))
        async with (
            asyncio.timeout(10),
            aiohttp.ClientSession(connector=connector) as session,
            session.request(
                method,
                URL(f"https://127.0.0.1:{self.server.port}{path}", encoded=True),
                headers=headers or [],
                server_hostname="forescale.forescale-system.svc",
                allow_redirects=False,
            ) as response,
        ):
            return response.status, response.headers, await response.read()

    async def raw(self, request: bytes, *, client: Pair | None = None) -> bytes:
        """What comes back for these very bytes until the server closes."""
        reader, writer = await self.connected(client)
        try:
            async with asyncio.timeout(15):
                writer.write(request)
                return await reader.read()
        finally:
            writer.close()

    async def connected(
        self, client: Pair | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection whose handshake is done."""
        return await asyncio.open_connection(
            "127.0.0.1",
            self.server.port,
            ssl=self.context(client),
            server_hostname="forescale.forescale-system.svc",
        )

    async def proxied(
        self, user: str, *groups: str, path: str = METRIC, method: str = "GET"
    ) -> Answer:
        """As kube-apiserver asks for a user."""
        headers = [("X-Remote-User", user), *(("X-Remote-Group", group) for group in groups)]
        return await self.ask(path, method=method, client=self.proxy, headers=headers)


def pem(authority: Authority) -> str:
    return authority.pair.certificate.read_text()


def status(answer: Answer) -> dict[str, Any]:
    """Return the Status of a failure, checked for what client-go insists on."""
    code, headers, body = answer
    found: dict[str, Any] = json.loads(body)
    assert headers["Content-Type"].startswith("application/json")
    assert "Retry-After" not in headers
    assert (found["kind"], found["apiVersion"]) == ("Status", "v1")
    assert found["code"] == code
    return found


def _decoded(text: str) -> str:
    import base64  # noqa: PLC0415

    return base64.b64decode(text).decode()
