"""The cost page over HTTP: who held the most comes first, and what is not asked for is all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from adapter.model.spending import Spending
from adapter.ops import cost, server
from adapter.ops.cost import Cost
from adapter.ops.probes import Probes
from adapter.settings import Ops
from adapter.telemetry import Metrics
from tests.adapter.model.test_spending import gpu_pod, spent
from tests.adapter.model.world import WALL, World


def ledger() -> Spending:
    """Ten seconds of a Deployment with one GPU and of a pod that nobody owns with two."""
    return spent(World(gpu_pod("a"), gpu_pod("b", 2, owners=())), 11)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    probes = Probes(read=lambda: None, now=lambda: 0.0, first_try_seconds=1.0)
    page = Cost(ledger(), clock=lambda: WALL + 20)
    runner, port = await server.start(Ops("127.0.0.1", 0), probes, Metrics(), page)
    yield f"http://127.0.0.1:{port}/cost"
    await runner.cleanup()


async def told(url: str, **asked: str) -> dict[str, object]:
    async with ClientSession() as session, session.get(url, params=asked) as answer:
        assert answer.status == 200
        return dict(await answer.json())


async def test_gpu_seconds_are_told_as_json_the_most_first(url: str) -> None:
    found = await told(url)
    assert (found["takenAt"], found["beganAt"], found["more"]) == (WALL + 20, WALL + 1, 0)
    assert isinstance(found["spent"], list)
    first, second = found["spent"]
    assert first["account"]["workload"] == {"namespace": "default", "kind": "Pod", "name": "b"}
    assert (first["gpus"], first["unknownSeconds"], first["idleSeconds"]) == (2, 20.0, 0.0)
    assert second["account"]["workload"]["kind"] == "Deployment"
    assert len(second["heldByHour"]) == 24


@pytest.mark.parametrize(
    ("asked", "count"),
    [({"name": "b"}, 1), ({"kind": "Deployment"}, 1), ({"namespace": "other"}, 0), ({}, 2)],
)
async def test_what_is_not_asked_for_is_all(url: str, asked: dict[str, str], count: int) -> None:
    found = await told(url, **asked)
    assert isinstance(found["spent"], list)
    assert len(found["spent"]) == count


async def test_accounts_beyond_the_bound_are_counted(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "MAX_ACCOUNTS", 1)
    found = await told(url)
    assert isinstance(found["spent"], list)
    assert (len(found["spent"]), found["more"]) == (1, 1)
