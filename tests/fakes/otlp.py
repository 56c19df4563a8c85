"""A receiver of OTLP over HTTP, which reads what came with OpenTelemetry's own messages."""

from __future__ import annotations

import gzip
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)


class Receiver:
    """Listens on loopback; `seen` has each request's metrics by name, `answer` is its status."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.resources: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.answer = 200
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/metrics", self._take)
        self._server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        message = ExportMetricsServiceRequest.FromString(body)
        (resource,) = message.resource_metrics
        (scope,) = resource.scope_metrics
        self.headers.append(dict(request.headers))
        self.resources.append(
            {one.key: one.value.string_value for one in resource.resource.attributes}
        )
        self.seen.append({metric.name: metric for metric in scope.metrics})
        return web.Response(status=self.answer)
