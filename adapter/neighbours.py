"""The neighbours: the metrics APIs behind this adapter, built from the settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from adapter.api.certificate import Certificate
from adapter.api.fallthrough import Fallthrough
from adapter.api.issued import Issued
from adapter.api.resource import Resource
from adapter.errors import UpstreamError
from adapter.intake.kube import Kube
from adapter.intake.resourceservice import ResourceService
from adapter.intake.upstream import Trust, UpstreamClient
from adapter.model.owners import Owners
from adapter.model.queried import Board
from adapter.model.snapshot import Snapshot
from adapter.settings import Behind, Settings

Work = Callable[[], Coroutine[Any, Any, None]]


class Neighbours:
    """What answers for them (None where there is none), and what has to run.

    `works` run all the time; `kept` keep APIServices, once this replica can answer.
    """

    def __init__(self, settings: Settings, kube: Kube, certificate: Certificate) -> None:
        self._settings = settings
        self._kube = kube
        self._certificate = certificate
        self._stack = AsyncExitStack()
        self.resource: Resource | None = None
        self.fallthrough: Fallthrough | None = None
        self.service: ResourceService | None = None
        self.works: list[Work] = []
        self.kept: list[Work] = []

    @classmethod
    def of(
        cls,
        settings: Settings,
        kube: Kube,
        certificate: Certificate,
        read: Callable[[], Snapshot | None],
        board: Callable[[], Board],
    ) -> Neighbours:
        """Return those of the settings; nothing is asked yet."""
        made = cls(settings, kube, certificate)
        if settings.resource_metrics.url:
            client = made._client("metrics-server", settings.resource_metrics)
            made.resource = Resource(client, _going(read, settings.api.stall_seconds))
            made.service = ResourceService(kube, settings, certificate.authority_pem)
            made.kept.append(made.service.run)
        if settings.fallthrough.url:
            client = made._client("the adapter behind this one", settings.fallthrough)
            owners = Owners.of(settings.api.object_kinds)
            made.fallthrough = Fallthrough(client, owners, board)
            made.works.append(made.fallthrough.run)
        return made

    def states(self) -> dict[str, str]:
        """Return how they and their APIServices stand, in words."""
        states = dict(self.service.states) if self.service else {}
        if self.fallthrough is not None:
            states["fallthrough"] = self.fallthrough.state()
        return states

    def hindrance(self) -> str | None:
        """Return why the group may not be taken yet from the adapter that has it; None: it may."""
        return self.fallthrough.hindrance() if self.fallthrough else None

    def look(self) -> None:
        """Compare their caBundles again: the CAs have changed."""
        if self.service is not None:
            self.service.look()

    def announced(self, authority_pem: bytes) -> bool:
        """Return whether kube-apiserver verifies us by this CA, too, wherever it asks for them."""
        return self.service is None or self.service.announced(authority_pem)

    async def close(self) -> None:
        """Close every connection."""
        await self._stack.aclose()

    def _client(self, called: str, behind: Behind) -> UpstreamClient:
        trust = _of_file(behind.ca_file) if behind.ca_file else _of(self._certificate)
        client = UpstreamClient(called, behind, trust=trust, token=self._kube.token)
        self._stack.push_async_callback(client.close)
        if behind.secret:
            issued = Issued(
                self._kube,
                self._certificate,
                secret=behind.secret,
                name=behind.tls_name,
                clock=time.time,
            )
            self.works.append(issued.run)
        return client


def _going(
    read: Callable[[], Snapshot | None], stall_seconds: float
) -> Callable[[], Snapshot | None]:
    """Return a reader of the Snapshot that gives None where the loop stands still."""
    clock = asyncio.get_running_loop().time

    def going() -> Snapshot | None:
        snapshot = read()
        return snapshot if snapshot is not None and clock() - snapshot.at <= stall_seconds else None

    return going


def _of(certificate: Certificate) -> Trust:
    async def trust() -> str:
        return certificate.bundle.decode()

    return trust


def _of_file(path: str) -> Trust:
    """Return the CAs of a file, as it is now: mounted ones are replaced."""

    async def trust() -> str:
        try:
            return await asyncio.to_thread(Path(path).read_text, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UpstreamError(f"caFile {path} cannot be read: {error}") from error

    return trust
