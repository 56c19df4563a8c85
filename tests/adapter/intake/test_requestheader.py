"""The front proxy's ConfigMap is handed over at first and at each change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from adapter.intake.kube import Kube
from adapter.intake.requestheader import NAME, follow
from tests.fakes.apiserver import FakeApiServer

CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps"


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


def configmap(**data: str) -> dict[str, object]:
    return {"metadata": {"name": NAME, "namespace": "kube-system"}, "data": data}


async def test_the_data_come_at_first_and_at_each_change(kube: Kube, server: FakeApiServer) -> None:
    server.put(CONFIGMAPS, configmap(a="1"))
    server.put(CONFIGMAPS, {"metadata": {"name": "other"}, "data": {"b": "2"}})
    seen: list[Mapping[str, str]] = []
    task = asyncio.create_task(follow(kube, seen.append))
    await until(lambda: seen == [{"a": "1"}])
    server.put(CONFIGMAPS, configmap(a="2"))
    server.put(CONFIGMAPS, {"metadata": {"name": "other"}, "data": {"b": "3"}})
    server.remove(CONFIGMAPS, NAME)
    await until(lambda: seen == [{"a": "1"}, {"a": "2"}, {}])
    task.cancel()
    # Only what the role of every extension API server allows is asked for.
    assert server.queries[0]["fieldSelector"] == f"metadata.name={NAME}"


async def test_a_cluster_without_it_has_no_data(kube: Kube) -> None:
    seen: list[Mapping[str, str]] = []
    task = asyncio.create_task(follow(kube, seen.append))
    await until(lambda: len(seen) > 0)
    task.cancel()
    assert seen == [{}]


async def test_data_that_cannot_be_read_are_told_and_the_next_ones_are_taken(
    kube: Kube, server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    good: list[Mapping[str, str]] = []

    def apply(data: Mapping[str, str]) -> None:
        if data["a"] == "bad":
            raise ValueError("a is bad")
        good.append(data)

    server.put(CONFIGMAPS, configmap(a="1"))
    task = asyncio.create_task(follow(kube, apply))
    await until(lambda: good)
    server.put(CONFIGMAPS, configmap(a="bad"))
    server.put(CONFIGMAPS, configmap(a="2"))
    await until(lambda: len(good) == 2)
    task.cancel()
    assert "front_proxy_unreadable" in caplog.text
