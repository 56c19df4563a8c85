"""A registration at work on a small API server; shared by the tests of its parts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from adapter.intake.apiservice import CUSTOM, PATH, ApiGroup
from adapter.intake.kube import Kube
from adapter.intake.registration import Registration
from adapter.settings import ApiServices, Settings
from tests.fakes.apiserver import FakeApiServer

NAMES = ["v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"]
BOTH = set(NAMES)
EXTERNAL = "v1beta1.external.metrics.k8s.io"
EVENTS = "/api/v1/namespaces/forescale-system/events"
CA = b"-----BEGIN CERTIFICATE-----\nours\n"
BUNDLE = base64.b64encode(CA).decode()
FOREIGN = {"name": "prometheus-adapter", "namespace": "monitoring", "port": 443}


class Cluster:
    """A registration at work on a small API server."""

    def __init__(self, server: FakeApiServer, kube: Kube) -> None:
        self.server = server
        self.kube = kube
        self.authority = CA
        self.error: Exception | None = None
        self.registration: Registration | None = None
        self.hindrance: str | None = None

    async def pem(self) -> bytes:
        if self.error is not None:
            raise self.error
        return self.authority

    @asynccontextmanager
    async def running(
        self, *, takeover: bool = False, group: ApiGroup = CUSTOM
    ) -> AsyncIterator[Registration]:
        settings = Settings(api_services=ApiServices(takeover=takeover))
        registration = Registration(self.kube, settings, self.pem, group, lambda: self.hindrance)
        task = asyncio.create_task(registration.run())
        yield registration
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def service(self, name: str) -> dict[str, Any]:
        return self.server.get(PATH, name)

    def make_foreign(self, name: str, **spec: object) -> None:
        body = {"metadata": {"name": name}, "spec": {"service": FOREIGN} | spec}
        self.server.put(PATH, body)

    def events(self) -> list[dict[str, Any]]:
        return list(self.server.collections.get(EVENTS, {}).values())


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def registered(registration: Registration) -> bool:
    return registration.states == dict.fromkeys(NAMES, "registered")
