"""A registration whose waits are short enough for a test."""

from __future__ import annotations

import pytest

from adapter.intake import registration as module
from adapter.intake.kube import Kube
from tests.adapter.intake.registering import Cluster
from tests.fakes.apiserver import FakeApiServer


@pytest.fixture
def cluster(server: FakeApiServer, kube: Kube, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(module, "RECREATE_SECONDS", 0.3)
    monkeypatch.setattr(module, "PACE_SECONDS", 0.1)
    monkeypatch.setattr(module, "TAKEOVER_PACE_SECONDS", 0.5)
    monkeypatch.setattr(module, "TAKEOVER_AFTER_SECONDS", 0.3)
    return Cluster(server, kube)
