"""The export: our own metrics and the traces of queries, where OpenTelemetry's environment asks."""

from __future__ import annotations

import os
import socket
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from adapter.api.server import Traced
from adapter.telemetry import release, warn
from sidecar import otlp

SERVICE = "forescale-adapter"


async def metrics(registry: CollectorRegistry) -> None:
    """Send the figures until cancelled; return at once where nobody asks for it."""
    await otlp.run(registry, service=SERVICE, version=release(), environ=os.environ, tell=_tell)


def traced(stack: AsyncExitStack) -> Traced | None:
    """Return who makes spans of queries, closed with the stack; None where nobody asks for it."""
    if not otlp.asked(os.environ, otlp.TRACES):
        return None
    if words := otlp.problem(os.environ, otlp.TRACES):
        _tell(words)
        return None
    try:
        from adapter.tracing import Tracing  # noqa: PLC0415 - an extra, and 14 MiB

        tracing = Tracing(SERVICE, release(), socket.gethostname(), _tell)
    except ImportError:
        _tell(otlp.MISSING)
        return None
    # Whatever the environment holds, the adapter serves.
    except Exception as error:  # noqa: BLE001
        _tell(f"traces are not sent: {type(error).__name__}: {error}")
        return None
    stack.push_async_callback(tracing.close)
    return tracing.query


def _tell(why: str) -> None:
    warn("otlp", why=why)
