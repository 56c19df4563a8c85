"""What was learnt outlives the adapter: read once, written rarely, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from adapter.intake import checkpoint as module
from adapter.intake.checkpoint import Checkpoint
from adapter.intake.kube import Kube
from adapter.intake.lease import Lease
from adapter.intake.shards import NAME, ConfigMaps
from adapter.model.checkpoint import SHARDS, shard_of
from adapter.model.coldstart import ColdStarts
from adapter.model.sighting import Key, Start
from adapter.telemetry import Metrics
from tests.adapter.intake.test_shards import CONFIG_MAPS, NAMESPACE
from tests.fakes.apiserver import FakeApiServer

NOW = 1_700_000_000.0
KEY = Key("default", "Deployment/llm", "abc")
SHARD = f"{NAME}-{shard_of(KEY)}"
PERIOD_SECONDS = 0.02


def start(uid: str, at: float = NOW - 10) -> Start:
    return Start(60, ended=True, at=at, uid=uid)


class Replica:
    """One adapter's learner and its checkpoint."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.learnt = ColdStarts()
        self.metrics = Metrics()
        lease = Lease(kube, NAMESPACE, NAME, holder=name, seconds=900)
        shards = ConfigMaps(kube, NAMESPACE, lease)
        self.checkpoint = Checkpoint(
            self.learnt, shards, PERIOD_SECONDS, self.metrics, clock=lambda: NOW
        )

    def count(self, result: str) -> float:
        name = "forescale_adapter_cold_start_checkpoints_total"
        return self.metrics.registry.get_sample_value(name, {"result": result}) or 0.0

    def uids(self) -> list[str]:
        return [one.uid for one in self.learnt.starts(KEY)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.checkpoint.run())
        yield
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_new_adapter_knows_what_the_one_before_it_learnt(
    kube: Kube, server: FakeApiServer
) -> None:
    first, second = Replica(kube, "a"), Replica(kube, "b")
    async with first.running():
        await until(lambda: first.count("read") == 1)
        first.learnt.learn(KEY, start("gone-since"))
        await until(lambda: first.count("written") == 1)
    second.learnt.learn(KEY, start("living", at=NOW))
    await second.checkpoint.restore()
    assert second.uids() == ["gone-since", "living"]
    assert list(server.collections[CONFIG_MAPS]) == [SHARD]


async def test_only_what_has_changed_is_written_and_by_one_replica_alone(
    kube: Kube, server: FakeApiServer
) -> None:
    first, second = Replica(kube, "a"), Replica(kube, "b")
    for replica in (first, second):
        await replica.checkpoint.restore()
        replica.learnt.learn(KEY, start("one"))
        for _ in range(3):
            await replica.checkpoint.save()
    assert (first.count("written"), second.count("written")) == (1, 0)
    first.learnt.learn(KEY, start("two"))
    await first.checkpoint.save()
    assert first.count("written") == 2
    assert server.calls[f"POST {CONFIG_MAPS}"] == 1


async def test_a_broken_shard_is_told_once_learnt_anew_and_costs_no_other(
    kube: Kube, server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    other = next(
        key
        for key in (Key("default", f"Deployment/{n}", "") for n in range(100))
        if shard_of(key) != shard_of(KEY)
    )
    first, second = Replica(kube, "a"), Replica(kube, "a")
    for key in (KEY, other):
        first.learnt.learn(key, start("one"))
    await first.checkpoint.save()
    text = server.get(CONFIG_MAPS, SHARD)["data"]["starts"]
    broken = {"metadata": {"name": SHARD}, "data": {"starts": text.replace("60", "61")}}
    server.put(CONFIG_MAPS, broken)
    await second.checkpoint.restore()
    assert list(second.learnt.learnt()) == [other]
    assert (second.count("broken"), second.count("read")) == (1, 1)
    (told,) = [one for one in caplog.records if one.getMessage() == "cold_starts_broken"]
    assert "its checksum is another" in vars(told)["fields"]["why"]
    second.learnt.learn(KEY, start("two"))
    await second.checkpoint.save()
    third = Replica(kube, "c")
    await third.checkpoint.restore()
    assert third.uids() == ["two"]


async def test_nothing_is_written_before_all_could_be_read(
    kube: Kube,
    server: FakeApiServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An adapter that has learnt little must not write over what others learnt before it."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    caplog.set_level("INFO", logger="forescale.adapter")
    first, second = Replica(kube, "a"), Replica(kube, "a")
    first.learnt.learn(KEY, start("before"))
    await first.checkpoint.save()
    call = f"GET {CONFIG_MAPS}/{NAME}-{SHARDS - 1}"
    server.refusals[call] = {"code": 500, "reason": "InternalError", "message": "etcd is away"}
    second.learnt.learn(KEY, start("living", at=NOW))
    async with second.running():
        await until(lambda: second.count("failed") >= 3)
        assert (second.count("written"), second.uids()) == (0, ["living"])
        del server.refusals[call]
        await until(lambda: second.count("written") == 1)
    third = Replica(kube, "c")
    await third.checkpoint.restore()
    assert third.uids() == ["before", "living"]
    told = [one.getMessage() for one in caplog.records]
    assert told.count("cold_starts_not_kept") == 1
    assert told.count("cold_starts_kept_again") == 1


async def test_a_write_that_fails_is_tried_again_after_a_period(
    kube: Kube, server: FakeApiServer
) -> None:
    replica = Replica(kube, "a")
    call = f"PATCH {CONFIG_MAPS}/{SHARD}"
    server.refusals[call] = {"code": 403, "reason": "Forbidden", "message": "no right"}
    async with replica.running():
        replica.learnt.learn(KEY, start("one"))
        await until(lambda: replica.count("failed") >= 2)
        del server.refusals[call]
        await until(lambda: replica.count("written") == 1)


async def test_an_error_that_nobody_foresaw_ends_nothing(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(kube, "a")
    async with replica.running():
        await until(lambda: replica.count("read") == 1)
        monkeypatch.setattr(replica.learnt, "learnt", lambda: 1 / 0)
        await until(lambda: replica.count("failed") >= 2)
