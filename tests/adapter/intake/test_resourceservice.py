"""The APIService of metrics.k8s.io is kept while it is ours, and never taken or taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapter.intake import resourceservice as module
from adapter.intake.apiservice import PATH
from adapter.intake.resourceservice import NAME, ResourceService
from adapter.settings import Settings
from tests.adapter.intake.registering import BUNDLE, EVENTS, Cluster, until

OURS = {"name": "forescale", "namespace": "forescale-system", "port": 443}
THEIRS = {"name": "metrics-server", "namespace": "kube-system", "port": 443}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACE_SECONDS", 0.05)


@asynccontextmanager
async def keeping(cluster: Cluster) -> AsyncIterator[ResourceService]:
    service = ResourceService(cluster.kube, Settings(), cluster.pem)
    task = asyncio.create_task(service.run())
    yield service
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def point(cluster: Cluster, service: dict[str, Any]) -> None:
    spec = {"service": service, "insecureSkipTLSVerify": True, "caBundle": ""}
    cluster.server.put(PATH, {"metadata": {"name": NAME}, "spec": spec})


def patches(cluster: Cluster) -> int:
    return cluster.server.calls[f"PATCH {PATH}/{NAME}"]


async def test_one_that_is_not_there_is_not_made(cluster: Cluster) -> None:
    async with keeping(cluster) as service:
        await until(lambda: service.states.get(NAME, "").startswith("not there"))
        await asyncio.sleep(0.2)
    assert cluster.server.collections.get(PATH, {}) == {}


async def test_another_owners_is_left_alone_and_without_an_event(cluster: Cluster) -> None:
    point(cluster, THEIRS)
    async with keeping(cluster) as service:
        words = "belongs to Service kube-system/metrics-server"
        await until(lambda: service.states.get(NAME, "").startswith(words))
    assert patches(cluster) == 0
    assert cluster.events() == []


async def test_once_it_points_here_its_ca_bundle_is_set_and_kept(cluster: Cluster) -> None:
    point(cluster, OURS)
    async with keeping(cluster) as service:
        await until(lambda: service.states.get(NAME, "").startswith("registered"))
        spec = cluster.service(NAME)["spec"]
        assert spec["caBundle"] == BUNDLE
        assert "insecureSkipTLSVerify" not in spec
        await cluster.kube.patch(f"{PATH}/{NAME}", {"spec": {"caBundle": None}})
        await until(lambda: cluster.service(NAME)["spec"].get("caBundle") == BUNDLE)


async def test_a_new_ca_is_written_when_told_to_look(cluster: Cluster) -> None:
    point(cluster, OURS)
    async with keeping(cluster) as service:
        await until(lambda: NAME in service.states)
        cluster.authority = b"another"
        service.look()
        await until(lambda: cluster.service(NAME)["spec"]["caBundle"] != BUNDLE)


async def test_whoever_points_it_back_is_told_of_and_not_contradicted(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    point(cluster, OURS)
    async with keeping(cluster) as service:
        await until(lambda: NAME in service.states)
        done = patches(cluster)
        point(cluster, THEIRS)
        await until(cluster.events)
        event = cluster.events()[0]
        assert (event["reason"], event["type"]) == ("APIServiceReverted", "Warning")
        assert "was pointed back to Service kube-system/metrics-server" in event["message"]
        await asyncio.sleep(0.3)
        assert patches(cluster) == done
        assert cluster.service(NAME)["spec"]["service"] == THEIRS
        assert len(cluster.events()) == 1
        assert "apiservice_reverted" in caplog.text
        point(cluster, OURS)
        await until(lambda: cluster.service(NAME)["spec"]["caBundle"] == BUNDLE)


async def test_while_it_cannot_be_written_it_is_tried_again_and_told_once(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    point(cluster, OURS)
    refused = {"code": 403, "reason": "Forbidden", "message": "no rights"}
    cluster.server.refusals[f"PATCH {PATH}/{NAME}"] = refused
    async with keeping(cluster) as service:
        await until(lambda: patches(cluster) > 2)
        assert caplog.text.count("registration_failed") == 1
        cluster.server.refusals.clear()
        await until(lambda: service.states.get(NAME, "").startswith("registered"))
    assert cluster.server.calls[f"POST {EVENTS}"] == 0
