"""The traces: one span for each query of the metrics APIs, by OTLP; opentelemetry's user here.

Imported where traces are asked for and nowhere else. Ticks have no spans: two a second would be
most of what is kept, and their histogram says as much.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiohttp import web
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sidecar import otlp

CLOSE_SECONDS = 1.0  # for the last spans; the pod's end does not wait for a collector
_UNAUTHORIZED, _SERVER_ERROR = 401, 500
_MAX_PATH = 500  # characters of a caller's text
_EXPORTERS_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Tracing:
    """Makes spans after the fact; sampling and all else are as OTEL_* says.

    `tell` is given each new reason why spans do not arrive, once.
    """

    def __init__(
        self, service: str, version: str, instance: str, tell: Callable[[str], None]
    ) -> None:
        own = {"service.name": service, "service.version": version}
        own["service.instance.id"] = instance
        resource = Resource(own).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Told(tell)))
        self._tracer = self._provider.get_tracer(service, version)
        self._propagator = TraceContextTextMapPropagator()

    def query(self, request: web.Request, status: int, seconds: float) -> None:
        """Make the span of a query that ended just now, a part of the caller's trace.

        A probe has none, and whom nobody knows writes nothing into anybody's traces.
        """
        resource = request.match_info.route.resource
        route = resource.canonical.replace("{slash}", "") if resource else "unknown"
        if route in ("/livez", "/healthz", "/readyz") or status == _UNAUTHORIZED:
            return
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"{request.method[:20]} {route}",
            context=self._propagator.extract(request.headers),
            kind=SpanKind.SERVER,
            start_time=ended - int(seconds * 1e9),
            attributes={
                "http.request.method": request.method[:20],
                "http.route": route,
                "http.response.status_code": status,
                "url.path": request.path[:_MAX_PATH],
                "url.query": request.query_string[:_MAX_PATH],
            },
        )
        if status >= _SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end(end_time=ended)

    async def close(self) -> None:
        """Send what is left, for a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await otlp.aside(self._shut)

    def _shut(self) -> None:
        self._provider.shutdown()


class _Told(SpanExporter):
    """The SDK's exporter, whose failures are told when they change."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._exporter = OTLPSpanExporter()
        self._words = otlp.LastWords(_EXPORTERS_LOGGER)
        self._tell = tell
        self._told = ""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        why = "" if result is SpanExportResult.SUCCESS else self._words.taken()
        if why and why != self._told:
            self._tell(f"traces cannot be sent: {why}")
        self._told = why
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
