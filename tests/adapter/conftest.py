"""What several adapter tests start: a small API server on loopback, and our client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapter.intake.kube import Kube
from tests.fakes.apiserver import FakeApiServer


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as running:
        yield running


@pytest.fixture
async def kube(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[Kube]:
    connected = await Kube.connect(server.kubeconfig(tmp_path))
    yield connected
    await connected.close()
