"""A metrics API to stand behind the adapter's, over TLS on loopback: it says what a test tells it.

For what a real metrics-server will not do on request: hang, break off, redirect, speak HTML.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from cryptography import x509

from tests.controlplane import pki
from tests.controlplane.pki import Authority

Json = dict[str, Any]
NAME = "metrics-server.kube-system.svc"
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"


def item(name: str, *containers: str, namespace: str = "default") -> Json:
    """Return one PodMetrics as metrics-server writes it."""
    usage = {"cpu": "12345678n", "memory": "123456Ki"}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "llm-inference"}},
        "timestamp": "2026-01-01T00:00:07Z",
        "window": "15.04s",
        "containers": [{"name": container, "usage": dict(usage)} for container in containers],
    }


def listed(*items: Json) -> Json:
    head = {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}}
    return head | {"items": list(items)}


class FakeMetricsServer:
    """Use as an async context manager; `says` holds the bodies by path."""

    def __init__(self, folder: Path, authority: Authority, name: str = NAME) -> None:
        pair = pki.serving(authority, folder / "metrics-server", name, [x509.DNSName(name)])
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self.says: dict[str, Json | bytes] = {}
        self.status = 200
        self.content_type = "application/json"
        self.headers: dict[str, str] = {}
        self.answering = asyncio.Event()  # cleared: every request hangs
        self.answering.set()
        self.breaks_off = False
        self.asked: list[tuple[str, dict[str, str]]] = []  # raw path with query, headers
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._context)
        await site.start()
        self.port = site.port
        return self

    async def __aexit__(self, *_: object) -> None:
        self.answering.set()
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((str(request.rel_url), dict(request.headers)))
        await self.answering.wait()
        said = self.says.get(request.path)
        if said is None:
            failure = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
            missing = failure | {"reason": "NotFound", "message": f"no {request.path}"}
            return web.json_response(missing, status=404)
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        response = web.StreamResponse(
            status=self.status, headers={"Content-Type": self.content_type} | self.headers
        )
        await response.prepare(request)
        await response.write(body)
        if self.breaks_off and request.transport is not None:
            request.transport.abort()
        return response
