"""What was learnt outlives the adapter: read once, written rarely, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from adapter.intake import checkpoint as module
from adapter.intake.checkpoint import Checkpoint
from adapter.intake.kept import KEYS_A_STEP, Demands, Starts, Totals
from adapter.intake.kube import Kube
from adapter.intake.lease import Lease
from adapter.intake.shards import NAME, ConfigMaps
from adapter.model.catalogue import METRICS
from adapter.model.checkpoint import SHARDS, shard_of
from adapter.model.coldstart import ColdStarts
from adapter.model.foresight import Foresight
from adapter.model.sighting import Key, Start
from adapter.model.snapshot import TotalKey
from adapter.telemetry import Metrics
from tests.adapter.intake.test_shards import CONFIG_MAPS, NAMESPACE
from tests.fakes.apiserver import FakeApiServer

NOW = 1_700_000_000.0
KEY = Key("default", "Deployment/llm", "abc")
SHARD = f"{NAME}-{shard_of(KEY)}"
METRIC = "llm_inference_pending_requests"
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
        self.foresight = Foresight()
        self.complete: dict[TotalKey, float] = {}
        self.recalled: dict[TotalKey, float] = {}
        totals = Totals(lambda: self.complete, self.recalled.update)
        learnt = (totals, Starts(self.learnt), Demands(self.foresight))
        self.checkpoint = Checkpoint(
            learnt, shards, PERIOD_SECONDS, self.metrics, clock=lambda: NOW
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


async def test_a_start_waits_for_the_first_kind_and_not_for_an_api_server_that_is_away(
    kube: Kube, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Replica(kube, "a"), Replica(kube, "b")
    async with first.running():
        first.learnt.learn(KEY, start("living"))
        await first.checkpoint.begun()
        assert await asyncio.wait_for(first.checkpoint.begun(), 0.01) is None
    monkeypatch.setattr(module, "BEGIN_SECONDS", 0.05)
    server.answering.clear()
    async with second.running():
        await second.checkpoint.begun()
    assert second.count("read") == 0


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


async def test_each_replica_knows_the_totals_that_the_other_is_asked_for(kube: Kube) -> None:
    writer, other = Replica(kube, "a"), Replica(kube, "b")
    for replica in (writer, other):
        await replica.checkpoint.restore()
    await writer.checkpoint.save()  # has the lease from now on, and nobody asks it
    key = TotalKey("default", "Deployment.apps", "llm", METRIC, METRICS[METRIC].view)
    other.complete = {key: 60.0}
    await other.checkpoint.save()
    for _ in range(2):
        await writer.checkpoint.save()
    assert writer.recalled == {key: 60.0}
    third = Replica(kube, "c")
    await third.checkpoint.restore()
    assert third.recalled == {key: 60.0}


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


async def test_broken_demands_cost_no_cold_start_of_the_same_shard(
    kube: Kube, server: FakeApiServer
) -> None:
    first, second = Replica(kube, "a"), Replica(kube, "b")
    await first.checkpoint.restore()
    first.learnt.learn(KEY, start("one"))
    await first.checkpoint.save()
    data = server.get(CONFIG_MAPS, SHARD)["data"] | {"demands": "forescale-demands 0 x"}
    server.put(CONFIG_MAPS, {"metadata": {"name": SHARD}, "data": data})
    await second.checkpoint.restore()
    assert (second.uids(), second.count("broken")) == (["one"], 1)


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


async def test_others_have_their_turn_while_much_is_taken_in(kube: Kube) -> None:
    first, second = Replica(kube, "a"), Replica(kube, "b")
    await first.checkpoint.restore()
    for n in range(10 * KEYS_A_STEP):
        first.learnt.learn(Key("default", f"Deployment/{n}", ""), start("one"))
    await first.checkpoint.save()
    work, seen = asyncio.create_task(second.checkpoint.restore()), [0]
    while not work.done():
        seen.append(len(second.learnt.keys()))
        await asyncio.sleep(0)
    assert len(second.learnt.keys()) == 10 * KEYS_A_STEP
    assert max(b - a for a, b in pairwise(seen)) <= KEYS_A_STEP


async def test_a_shard_that_cannot_be_written_stops_no_other_and_is_told_once(
    kube: Kube, server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    replica = Replica(kube, "a")
    await replica.checkpoint.restore()
    for n in range(100):
        replica.learnt.learn(Key("default", f"Deployment/{n}", ""), start("one"))
    for number in (0, 2):
        refusal = {"code": 403, "reason": "Forbidden", "message": f"no right to {number}"}
        server.refusals[f"PATCH {CONFIG_MAPS}/{NAME}-{number}"] = refusal
    for _ in range(3):
        await replica.checkpoint.save()
    assert (replica.count("written"), replica.count("failed")) == (SHARDS - 2, 6)
    told = [vars(one)["fields"]["why"] for one in caplog.records]
    assert ["no right to 0" in told[0], "no right to 2" in told[1], len(told)] == [True, True, 2]
    server.refusals.clear()
    await replica.checkpoint.save()
    assert replica.count("written") == SHARDS


async def test_whoever_stops_writes_a_last_time_and_lets_another_write_at_once(
    kube: Kube,
) -> None:
    first, second = Replica(kube, "a"), Replica(kube, "b")
    for replica in (first, second):
        await replica.checkpoint.restore()
        await replica.checkpoint.save()
    first.learnt.learn(KEY, start("last"))
    await second.checkpoint.leave()
    await first.checkpoint.leave()
    assert (first.count("written"), second.count("written")) == (1, 0)
    second.learnt.learn(KEY, start("after"))
    await second.checkpoint.save()
    assert second.count("written") == 1


async def test_whoever_stops_before_it_has_read_writes_nothing(
    kube: Kube, server: FakeApiServer
) -> None:
    replica = Replica(kube, "a")
    replica.learnt.learn(KEY, start("one"))
    await replica.checkpoint.leave()
    assert not server.calls


async def test_an_api_server_that_is_away_holds_up_no_stop(
    kube: Kube, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAVE_SECONDS", 0.05)
    replica = Replica(kube, "a")
    await replica.checkpoint.restore()
    server.answering.clear()
    await replica.checkpoint.leave()
    assert replica.count("failed") == 1


async def test_an_error_that_nobody_foresaw_ends_nothing(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(kube, "a")
    async with replica.running():
        await until(lambda: replica.count("read") == 1)
        monkeypatch.setattr(replica.learnt, "keys", lambda: 1 / 0)
        await until(lambda: replica.count("failed") >= 2)
