"""OTLP: our own metrics, sent as OpenTelemetry's environment says; without it nothing happens.

Shared by sidecar and adapter. The registry is read on the event loop, since some of its figures are
the loop's; what is read goes out in a thread that nobody waits for at the end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from prometheus_client import CollectorRegistry

METRICS, TRACES = "METRICS", "TRACES"
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
MISSING = "opentelemetry is missing: pip install 'forescale[otel]'"
SPOKEN = "http/protobuf"
INTERVAL_MILLISECONDS = 60_000.0  # the specification's default
SHORTEST_MILLISECONDS = 100.0


def asked(environ: Mapping[str, str], signal: str = METRICS) -> bool:
    """Return whether the environment asks for metrics or traces by OTLP: it names an endpoint.

    OTEL_SDK_DISABLED, and an OTEL_…_EXPORTER that is not `otlp`, turn it off again.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get(f"OTEL_{signal}_EXPORTER", "").strip() or "otlp"
    named = "otlp" in [one.strip() for one in exporters.split(",")]
    return named and any(environ.get(name, "").strip() for name in _names(signal, "ENDPOINT"))


def problem(environ: Mapping[str, str], signal: str = METRICS) -> str | None:
    """Return in words what of the environment cannot be done; None where all can."""
    for name in _names(signal, "PROTOCOL"):
        if said := environ.get(name, "").strip():
            words = f"{name} is {said[:100]}: only {SPOKEN} is spoken here, mostly on port 4318"
            return words if said != SPOKEN else None
    return None


def _names(signal: str, what: str) -> tuple[str, str]:
    return f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}"


class LastWords(logging.Handler):
    """What an exporter logged last: it tells of each try, and we of each change."""

    def __init__(self, logger: str) -> None:
        super().__init__()
        self._last = ""
        found = logging.getLogger(logger)
        found.handlers, found.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        self._last = record.getMessage()

    def taken(self) -> str:
        """Return the words, and forget them."""
        words, self._last = self._last, ""
        return words or "the exporter does not say why"


def interval_seconds(environ: Mapping[str, str]) -> float:
    """Return the time between two exports; what is no number of milliseconds is the default."""
    try:
        milliseconds = float(environ.get(INTERVAL, "") or INTERVAL_MILLISECONDS)
    except ValueError:
        milliseconds = INTERVAL_MILLISECONDS
    if not SHORTEST_MILLISECONDS <= milliseconds < float("inf"):
        milliseconds = INTERVAL_MILLISECONDS
    return milliseconds / 1000.0


async def run(
    registry: CollectorRegistry,
    *,
    service: str,
    version: str,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> None:
    """Send the registry's figures until cancelled; return at once where nobody asks for it.

    `tell` is given each new reason why they do not arrive, once.
    """
    if not asked(environ):
        return
    if words := problem(environ):
        tell(words)
        return
    try:
        from sidecar.points import Exporter, Points  # noqa: PLC0415 - an extra, and 14 MiB

        points = Points(service, version, socket.gethostname(), time.time_ns())
    except ImportError:
        tell(MISSING)
        return
    # The library reads the environment as it is imported, and raises at what it cannot read.
    except Exception as error:  # noqa: BLE001
        tell(f"metrics cannot be sent: {type(error).__name__}: {error}")
        return
    exporter, told = None, None
    while True:
        await asyncio.sleep(interval_seconds(environ))
        try:
            exporter = exporter or Exporter()
            data = points.data(registry.collect(), time.time_ns())
            why = await aside(partial(exporter.send, data))
        # The boundary: whatever the environment holds, the program that it is about goes on.
        except Exception as error:  # noqa: BLE001
            why = f"{type(error).__name__}: {error}"
        if why is not None and why != told:
            tell(f"metrics cannot be sent: {why}")
        told = why


async def aside(work: Callable[[], str | None]) -> str | None:
    """Work in a thread of its own: a pool's would hold up the end for as long as a try may take.

    Returns what the work does, or in words what it raised.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | None] = loop.create_future()

    def settle(why: str | None) -> None:
        if not done.done():
            done.set_result(why)

    def run_it() -> None:
        try:
            why = work()
        except Exception as error:  # noqa: BLE001 - the thread's last boundary
            why = f"{type(error).__name__}: {error}"
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, why)

    threading.Thread(target=run_it, name="otlp", daemon=True).start()
    return await done
