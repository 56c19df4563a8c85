"""The surroundings: what differs between an adapter in a cluster and one with a directory of files.

Parts are built and started here as in the composition root, which calls it.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections import ChainMap
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from adapter.api.auth import Auth
from adapter.api.certificate import Certificate
from adapter.api.identity import FrontProxy
from adapter.api.server import DRAIN_SECONDS
from adapter.cluster import Cluster
from adapter.errors import KubeError
from adapter.intake import apiservice, requestheader
from adapter.intake.checkpoint import Checkpoint
from adapter.intake.fleetwatch import FleetWatch
from adapter.intake.kept import Demands, Starts, Totals
from adapter.intake.kube import Kube
from adapter.intake.lease import Lease
from adapter.intake.objectqueries import ObjectQueries
from adapter.intake.registration import Registration
from adapter.intake.remarks import Remarks
from adapter.intake.roster import Roster
from adapter.intake.shards import NAME, ConfigMaps, Folder, Shards
from adapter.intake.standalone import Directory
from adapter.intake.subscribe import Subscriber
from adapter.loop import Loop
from adapter.model import prospect
from adapter.model.asked import Asked
from adapter.model.fleet import Pod
from adapter.model.owners import Owners
from adapter.neighbours import Neighbours
from adapter.ops.probes import Probes
from adapter.settings import Settings
from adapter.telemetry import Metrics, Once, warn

RETRY_SECONDS = 2.0
LEASE_PERIODS = 3  # without a renewal

Spawn = Callable[[Coroutine[Any, Any, None]], None]


@dataclass(frozen=True, slots=True)
class Core:
    """What every adapter has, wherever its pods come from."""

    settings: Settings
    owners: Owners
    roster: Roster
    subscriber: Subscriber
    loop: Loop
    asked: Asked
    metrics: Metrics
    probes: Probes
    objects: ObjectQueries


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs between a cluster and a directory of files."""

    synced: Callable[[], bool]
    trusts: Callable[[], bool]
    states: Callable[[], Mapping[str, str]] = dict
    auth: Auth | None = None
    context: SSLContext | None = None
    register: Callable[[], Coroutine[Any, Any, None]] | None = None
    behind: Neighbours | None = None
    drain_seconds: float = 0.0
    certificates: Callable[[], Mapping[str, str]] = dict  # in words, by what they are for


async def from_files(core: Core, spawn: Spawn, stack: AsyncExitStack) -> Surroundings:
    """Take pods from a directory; nobody is asked who asks."""
    directory = Directory(core.settings.standalone, core.roster)
    core.roster.replace_pods(())  # an empty directory is an answer, too
    directory.poll()
    for work in (directory.run, _remarks(core).run):
        spawn(work())
    if core.settings.cold_start.folder:
        await _keep_cold_starts(core, spawn, stack, Folder(core.settings.cold_start.folder))
    return Surroundings(
        synced=lambda: True,
        trusts=lambda: True,
        certificates=lambda: {"serving": "none: the API is plain HTTP here"},
    )


async def from_cluster(core: Core, spawn: Spawn, stack: AsyncExitStack) -> Surroundings:
    """Take pods from an API server, and be one of its aggregated APIs."""
    settings = core.settings
    kube = await Kube.connect(settings.kubeconfig)
    stack.push_async_callback(kube.close)
    watch = FleetWatch(kube, core.roster, all_pods=bool(settings.intake.node_sources))
    spawn(watch.run())
    certificate = await _certificate(kube, settings, core.probes)
    core.metrics.certificate(lambda: certificate.expires_at)
    auth = Auth(kube, verify=certificate.front_proxy_name, now=asyncio.get_running_loop().time)
    stack.push_async_callback(auth.close)

    def trust(data: Mapping[str, str]) -> None:
        front_proxy = FrontProxy.of(data)
        certificate.trust(front_proxy.authority, front_proxy.clients)
        auth.front_proxy = front_proxy

    spawn(requestheader.follow(kube, trust))
    spawn(certificate.run())
    await _keep_cold_starts(core, spawn, stack, _shards(kube, settings))
    groups = (apiservice.CUSTOM, apiservice.EXTERNAL)[: 1 + settings.external.enabled]
    behind = Neighbours.of(
        settings, kube, certificate, lambda: core.loop.snapshot, lambda: core.objects.board
    )
    registrations = [
        Registration(kube, settings, certificate.authority_pem, group, behind.hindrance)
        for group in groups
    ]
    stack.push_async_callback(behind.close)
    certificate.keepers = (*registrations, behind) if settings.api_services.manage else ()
    for work in (*behind.works, _remarks(core, kube).run):
        spawn(work())

    async def register() -> None:
        async with asyncio.TaskGroup() as tasks:
            for work in (*(one.run for one in registrations), *behind.kept):
                tasks.create_task(work())

    return Surroundings(
        synced=watch.synced,
        trusts=lambda: bool(auth.front_proxy.authority),
        auth=auth,
        context=certificate.context,
        states=lambda: dict(ChainMap(behind.states(), *(one.states for one in registrations))),
        register=register if settings.api_services.manage else None,
        behind=behind,
        drain_seconds=DRAIN_SECONDS,
        certificates=certificate.told,
    )


def _shards(kube: Kube, settings: Settings) -> Shards:
    kept, namespace = settings.cold_start, settings.api.namespace
    holder = f"{socket.gethostname()}_{uuid.uuid4()}"  # as client-go's leader election has it
    seconds = LEASE_PERIODS * kept.period_seconds
    return ConfigMaps(kube, namespace, Lease(kube, namespace, NAME, holder=holder, seconds=seconds))


def _remarks(core: Core, cluster: Cluster | None = None) -> Remarks:
    def crowded() -> Iterator[tuple[Pod, str]]:
        snapshot = core.loop.snapshot
        return prospect.without_room(snapshot) if snapshot else iter(())

    return Remarks(core.roster.fleet, cluster, crowded)


async def _keep_cold_starts(
    core: Core, spawn: Spawn, stack: AsyncExitStack, shards: Shards
) -> None:
    kept, loop = core.settings.cold_start, core.loop
    if kept.checkpoint:
        # The totals first: the first answers go by them.
        learnt = (
            Totals(loop.in_use, loop.recall),
            Starts(loop.starting.learnt),
            Demands(loop.foresight),
        )
        checkpoint = Checkpoint(learnt, shards, kept.period_seconds, core.metrics)
        spawn(checkpoint.run())
        stack.push_async_callback(checkpoint.leave)  # before the client closes
        await checkpoint.begun()


async def _certificate(kube: Kube, settings: Settings, probes: Probes) -> Certificate:
    """Wait for the API server as long as it takes: the adapter often starts beside it."""
    once, secret = Once(warn), f"the CA in Secret {settings.api.namespace}/{settings.tls.secret}"
    probes.waiting_for = secret
    while True:
        try:
            return await Certificate.obtain(kube, settings)
        except KubeError as error:
            probes.waiting_for = f"{secret}: {error}"
            once("authority_unreadable", "ca", str(error), secret=settings.tls.secret)
            await asyncio.sleep(RETRY_SECONDS)
