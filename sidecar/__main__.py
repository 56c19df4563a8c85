"""The composition root: settings in, one process out, until SIGTERM."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path

from aiohttp import web

from sidecar import cli, fetch, log, otlp, serve, wire
from sidecar.flags import SIDECAR, Face
from sidecar.gpu import Gpus
from sidecar.modelserver import ModelServer
from sidecar.podresources import PodResources
from sidecar.poll import Periods, Poller
from sidecar.proof import Proof
from sidecar.sample import Identity
from sidecar.settings import Loaded, Settings, SettingsError, load
from sidecar.streams import Streams
from sidecar.telemetry import Telemetry

EXIT_BAD_SETTINGS = 2
EXIT_CANNOT_LISTEN = 1
# A kept-alive connection that asks nothing more is closed, so that idle clients cost nothing.
KEEPALIVE_SECONDS = 15.0
SHUTDOWN_SECONDS = 0.2
REVISION = "FORESCALE_REVISION"  # set by the image


def version() -> str:
    """Return the installed version, `unknown` in a tree that was never installed."""
    try:
        return importlib.metadata.version("forescale")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def identity_of(settings: Settings, server_started_at: float | None = None) -> Identity:
    """Return what every frame of this process says of itself."""
    return Identity(
        boot=secrets.token_hex(8),
        uid=settings.pod_uid,
        period_seconds=settings.heartbeat_seconds,
        started_at=time.monotonic(),
        server_started_at=server_started_at,
        release=version(),
    )


def periods_of(settings: Settings) -> Periods:
    return Periods(
        engine_seconds=settings.engine_period_seconds,
        gpu_seconds=settings.gpu_period_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
    )


async def serve_until_told(
    settings: Settings,
    environ: Mapping[str, str],
    scope: str | None = None,
    server_started_at: float | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; raise ListenError when the address cannot be had."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listener = serve.listen(settings.host, settings.port)
    gpus = Gpus(settings.gpu_timeout_seconds)
    try:
        async with fetch.session(settings.engine_timeout_seconds) as http:
            server = ModelServer(settings, http)
            proof = Proof(settings, environ, scope)
            poller = Poller(
                identity=identity_of(settings, server_started_at),
                periods=periods_of(settings),
                server=server,
                gpus=gpus,
                proven=proof.claim,
                shared_gpu=settings.shared_gpu,
                holders=proof.kubelet if scope == wire.NODE else None,
            )
            async with _asking(proof.kubelet):
                await _serve(poller, listener, stop, environ)
    finally:
        await gpus.close()


@asynccontextmanager
async def _asking(kubelet: PodResources | None) -> AsyncIterator[None]:
    asking = asyncio.create_task(kubelet.run()) if kubelet else None
    try:
        yield
    finally:
        if asking:
            asking.cancel()


async def _serve(
    poller: Poller, listener: socket.socket, stop: asyncio.Event, environ: Mapping[str, str]
) -> None:
    revision = environ.get(REVISION, "")
    telemetry = Telemetry(version(), poller.frame, poller.driver, revision)
    streams = Streams(telemetry)
    app = serve.application(poller, streams, telemetry)
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    await web.SockSite(runner, listener).start()
    polling = asyncio.create_task(poller.run(streams.publish, telemetry))
    exporting = asyncio.create_task(
        otlp.run(
            telemetry.registry,
            service="forescale-sidecar",
            version=version(),
            environ=environ,
            tell=lambda why: log.event(logging.WARNING, "OTLP", why=why),
        )
    )
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, exporting, polling):
        task.cancel()
    streams.close()
    await runner.cleanup()
    log.event(logging.INFO, "stopped")
    if not stop.is_set():
        await polling  # it ended by itself: that is a fault, and its traceback the way to it


def announce(loaded: Loaded) -> None:
    """Log what was ignored and the settings in force, once."""
    for warning in loaded.warnings:
        log.event(logging.WARNING, "a setting was ignored", why=warning)
    plain = {one.name: getattr(loaded.settings, one.name) for one in fields(loaded.settings)}
    plain["engine_row"] = None  # its names are in what is read, or said to be absent there
    facts = {
        key: list(v) if isinstance(v, tuple) else str(v) if isinstance(v, Path) else v
        for key, v in plain.items()
    }
    log.event(logging.INFO, "starting", version=version(), **facts)


def run(
    arguments: list[str],
    *,
    environ: Mapping[str, str] = os.environ,
    scope: str | None = None,
    face: Face = SIDECAR,
    server_started_at: float | None = None,
) -> int:
    """Run the sidecar as a program; return 2 for bad settings, 1 when it cannot listen.

    `scope` is wire.CONTAINER inside the model's own container, wire.NODE for a node agent;
    `server_started_at` is time.monotonic() when our wrapper started the model server.
    """
    try:
        loaded = load(arguments, environ, version(), face)
    except SettingsError as error:
        sys.stderr.write("".join(f"error: {problem}\n" for problem in error.problems))
        return EXIT_BAD_SETTINGS
    log.configure(loaded.settings.log_level)
    announce(loaded)
    try:
        asyncio.run(serve_until_told(loaded.settings, environ, scope, server_started_at))
    except serve.ListenError as error:
        log.event(logging.ERROR, str(error))
        return EXIT_CANNOT_LISTEN
    return 0


if __name__ == "__main__":
    sys.exit(cli.main())
