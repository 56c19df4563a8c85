"""The composition root: builds every part of the adapter, starts it, and stops it in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import msgspec
import uvloop

from adapter import export
from adapter.api import query
from adapter.api.answers import Answers
from adapter.api.external import External
from adapter.api.keda import Scaler
from adapter.api.server import Server, Traced
from adapter.api.trigger import Triggers
from adapter.errors import ForescaleError, SettingsError
from adapter.intake.objectqueries import ObjectQueries
from adapter.intake.prometheus import PrometheusSource
from adapter.intake.roster import Roster
from adapter.intake.subscribe import Subscriber
from adapter.load import load
from adapter.loop import Loop
from adapter.model.asked import Asked
from adapter.model.owners import Owners
from adapter.model.queried import Board
from adapter.model.snapshot import Snapshot
from adapter.model.spending import Spending
from adapter.model.starting import Starting
from adapter.ops import server as ops
from adapter.ops.coldstart import ColdStart
from adapter.ops.cost import Cost
from adapter.ops.probes import Parts, Probes
from adapter.ops.status import Status
from adapter.ops.top import Top
from adapter.ops.why import Why
from adapter.pricegauge import PriceGauge
from adapter.reload import UNSPELLED, Reload, Spelled
from adapter.replicagauges import ReplicaGauges
from adapter.settings import Settings, Tariff
from adapter.surroundings import Core, Spawn, Surroundings, from_cluster, from_files
from adapter.telemetry import Metrics, event, log, start_logging, warn

_Result = TypeVar("_Result")

# The interpreter's own but for the last. A collection of everything stops the loop for 0.2 s where
# 2,000 pods stream (bench/hpas.py); it came every two seconds, and found nothing in any of them.
GARBAGE_THRESHOLDS = (700, 10, 1000)
REVISION = "FORESCALE_REVISION"  # set by the image


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the adapter until it is told to stop; 0 then, 1 when it broke, 2 for wrong settings."""
    spelled = Spelled(sys.argv[1:] if arguments is None else arguments, dict(os.environ))
    try:
        settings, warnings = load(spelled.arguments, spelled.environment)
    except SettingsError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    if spelled.checks:
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)  # noqa: T201 - for a person
        print("ok")  # noqa: T201 - for a person
        return 0
    start_logging(settings.log.level)
    for warning in warnings:
        warn("setting_ignored", why=warning)
    event("settings", **msgspec.to_builtins(settings))
    reasons: list[str] = []
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(settings, spelled))
    except* ForescaleError as group:
        reasons += [str(error) for error in group.exceptions]
    for reason in reasons:
        log.error("stopped", extra={"fields": {"why": reason}})
    gc.freeze()  # or the interpreter looks through all modules once more before it ends: a second
    return 1 if reasons else 0


async def _until_told(settings: Settings, spelled: Spelled) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop, spelled)


async def serve(settings: Settings, stop: asyncio.Event, spelled: Spelled = UNSPELLED) -> None:
    """Serve until `stop` is set; raise StartupError where that cannot begin.

    Probes answer first and go last, and the loop ticks from the start: an adapter that waits for
    its API server is alive, says what it waits for, and can be told to stop.
    """
    owners, asked = Owners.of(settings.api.object_kinds), Asked()
    metrics = Metrics(spelled.environment.get(REVISION, ""))
    roster = Roster(owners)
    async with AsyncExitStack() as stack:
        subscriber = await stack.enter_async_context(Subscriber(settings.intake, metrics))
        loop = Loop(settings.model, roster.fleet, subscriber, asked.totals, metrics)
        probes = Probes(
            read=lambda: loop.snapshot,
            now=asyncio.get_running_loop().time,
            first_try_seconds=settings.intake.first_try_seconds,
        )
        objects = ObjectQueries(settings, metrics)
        core = Core(settings, owners, roster, subscriber, loop, asked, metrics, probes, objects)
        reload = Reload(spelled, settings, lambda found: _apply(core, found), metrics)
        read, board, tariff = (
            lambda: loop.snapshot,
            lambda: objects.board,
            lambda: reload.settings.cost,
        )
        metrics.registry.register(PriceGauge(loop.spending, tariff))
        status = Status(read, loop.starting, loop.spending, probes, tariff)
        status.show = ReplicaGauges(metrics).show
        shown = pages(read, loop.starting, loop.spending, board, status, tariff=tariff)
        runner, port = await ops.start(settings.ops, probes, metrics, *shown)
        stack.push_async_callback(runner.cleanup)
        event("probes_serving", ops_port=port)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks: list[asyncio.Task[None]] = []

        def spawn(work: Coroutine[Any, Any, None]) -> None:
            tasks.append(group.create_task(work))

        spawn(loop.run())
        spawn(export.metrics(metrics.registry))
        spawn(status.run())
        if settings.prometheus.url:
            spawn(PrometheusSource(settings, roster.fleet, metrics, subscriber).run())
            spawn(objects.run())
        spawn(reload.run())
        surround = from_files if settings.standalone else from_cluster
        around = await _unless(stop, surround(core, spawn, stack))
        if around is not None:
            status.certificates = around.certificates
            await _answer(core, around, spawn, stop, export.traced(stack))
        for task in tasks:
            task.cancel()


def pages(
    read: Callable[[], Snapshot | None],
    starting: Starting,
    spending: Spending,
    board: Callable[[], Board],
    status: Status,
    *,
    tariff: Callable[[], Tariff] = Tariff,
) -> tuple[ops.Page, ...]:
    """Return every page of the ops port, beside its probes and /metrics."""
    why = Why(read, query.choice, board)
    return (why, Top(read), ColdStart(starting), Cost(spending, tariff), *status.pages())


def _apply(core: Core, settings: Settings) -> None:
    core.loop.apply(settings.model)
    core.subscriber.apply(settings.intake)
    core.objects.apply(settings)
    log.setLevel(settings.log.level.upper())


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, _Result]) -> _Result | None:
    """Return what the work comes to; None, and the work cancelled, when `stop` is set before."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _answer(
    core: Core,
    around: Surroundings,
    spawn: Spawn,
    stop: asyncio.Event,
    traced: Traced | None,
) -> None:
    """Serve the API until `stop` is set, and drain it."""
    answers = _answers(core, around)
    server = _server(core, around, answers, traced)
    await server.start(core.settings.api, around.context)
    keda = await _scaler(core, answers)
    core.probes.parts = Parts(
        synced=around.synced,
        tried=core.subscriber.tried,
        api_ready=lambda: bool(server.port) and around.trusts(),
        states=around.states,
    )
    gc.freeze()  # what start-up made lives as long as the process: no collection need visit it
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    event("serving", api_port=server.port)
    if around.register is not None:
        spawn(_when_ready(core.probes, around.register))
    await stop.wait()
    event("stopping", drain_seconds=around.drain_seconds)
    core.probes.stopping = True
    await server.stop(around.drain_seconds)
    if keda is not None:
        await keda.stop()


def _answers(core: Core, around: Surroundings) -> Answers:
    return Answers(
        read=lambda: _told(core.loop.snapshot, around),
        asked=core.asked,
        now=asyncio.get_running_loop().time,
        metrics=core.metrics,
        stall_seconds=core.settings.api.stall_seconds,
        board=lambda: core.objects.board,
    )


async def _scaler(core: Core, answers: Answers) -> Scaler | None:
    """Return KEDA's external scaler, listening; None where it is not asked for."""
    settings = core.settings
    if not settings.keda.enabled:
        return None
    external = External(answers, core.owners)
    scaler = Scaler(Triggers(answers, external), core.metrics)
    await scaler.start(settings.keda)
    event("keda_serving", port=scaler.port, authenticated=bool(settings.keda.tls_folder))
    return scaler


def _server(core: Core, around: Surroundings, answers: Answers, traced: Traced | None) -> Server:
    return Server(
        answers,
        owners=core.owners,
        auth=around.auth,
        metrics=core.metrics,
        ready=lambda: _unready(core.probes),
        now=asyncio.get_running_loop().time,
        resource=around.behind.resource if around.behind else None,
        fallthrough=around.behind.fallthrough if around.behind else None,
        traced=traced,
    )


def _told(snapshot: Snapshot | None, around: Surroundings) -> Snapshot | None:
    """Return the Snapshot, None before one knows the pods: `no pods` would be a wrong answer."""
    listed = snapshot is not None and snapshot.fleet.version > 0 and around.synced()
    return snapshot if listed else None


def _unready(probes: Probes) -> str | None:
    failed = [check for check in probes.ready() if not check.passed]
    return f"{failed[0].name}: {failed[0].words}" if failed else None


async def _when_ready(probes: Probes, register: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Register once this replica can answer: an APIService without a server hurts everybody."""
    while _unready(probes) is not None:  # noqa: ASYNC110 - readiness is derived, nobody sets it
        await asyncio.sleep(0.2)
    await register()


if __name__ == "__main__":
    sys.exit(main())
