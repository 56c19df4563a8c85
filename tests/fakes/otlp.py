"""A receiver of OTLP over HTTP, which reads what came with OpenTelemetry's own messages."""

from __future__ import annotations

import gzip
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """Listens on loopback; `answer` is the status that it gives.

    `seen` has each request's metrics by name, `spans` all spans.
    """

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.resources: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.answer = 200
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/metrics", self._take)
        app.router.add_post("/v1/traces", self._take_spans)
        self._server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _take_spans(self, request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await request.read())
        (resource,) = message.resource_spans
        self._keep(resource)
        self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response(status=self.answer)

    def _keep(self, resource: Any) -> None:
        self.resources.append(
            {one.key: one.value.string_value for one in resource.resource.attributes}
        )

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        message = ExportMetricsServiceRequest.FromString(body)
        (resource,) = message.resource_metrics
        (scope,) = resource.scope_metrics
        self.headers.append(dict(request.headers))
        self._keep(resource)
        self.seen.append({metric.name: metric for metric in scope.metrics})
        return web.Response(status=self.answer)
