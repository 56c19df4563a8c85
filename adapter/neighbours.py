"""The neighbours: what stands behind this adapter, built from the settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter.api.certificate import Certificate
from adapter.api.issued import Issued
from adapter.api.resource import Resource
from adapter.errors import UpstreamError
from adapter.intake.kube import Kube
from adapter.intake.resourceservice import ResourceService
from adapter.intake.upstream import Trust, UpstreamClient
from adapter.model.snapshot import Snapshot
from adapter.settings import Settings

Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class MetricsServer:
    """metrics-server behind us: what answers for it, and what has to run for it."""

    resource: Resource
    client: UpstreamClient
    service: ResourceService
    issued: Issued | None

    @classmethod
    def of(
        cls,
        settings: Settings,
        kube: Kube,
        certificate: Certificate,
        read: Callable[[], Snapshot | None],
    ) -> MetricsServer | None:
        """Return it; None where the settings have none."""
        behind = settings.resource_metrics
        if not behind.url:
            return None
        trust = _of_file(behind.ca_file) if behind.ca_file else _of(certificate)
        client = UpstreamClient("metrics-server", behind, trust=trust, token=kube.token)
        issued = None
        if behind.secret:
            issued = Issued(
                kube, certificate, secret=behind.secret, name=behind.tls_name, clock=time.time
            )
        return cls(
            Resource(client, read),
            client,
            ResourceService(kube, settings, certificate.authority_pem),
            issued,
        )


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
