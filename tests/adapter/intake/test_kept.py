"""What was learnt of demands, and totals, go to their shards and back while both replicas go on."""

from __future__ import annotations

import pytest

from adapter.errors import BadCheckpoint
from adapter.intake.kept import Demands, Totals
from adapter.model.catalogue import METRICS
from adapter.model.checkpoint import SHARDS
from adapter.model.forecast import Forecaster
from adapter.model.foreseen import Mode
from adapter.model.lasting import EMPTY as EMPTY_TOTALS
from adapter.model.lasting import KEPT_SECONDS
from adapter.model.remembered import EMPTY
from adapter.model.snapshot import TotalKey
from tests.adapter.model.test_forecast import noisy
from tests.adapter.model.test_foresight import live, only, world_of
from tests.adapter.model.world import START, WALL, World

METRIC = "llm_inference_pending_requests"


def taught(world: World) -> Forecaster:
    found, now = Forecaster(), WALL + world.now - START - 7_200
    demand = noisy(40.0)
    while now < WALL + world.now - START:
        now += 30
        found.observe(now, demand(now))
    return found


async def test_a_new_adapter_forecasts_at_once_what_the_one_before_it_had_learnt() -> None:
    first, second = world_of(Mode.ACT), world_of(Mode.ACT)
    for world in (first, second):
        live(world, 60)
    ((key, _),) = first.foresight.forecasters()
    first.foresight.recall(key, taught(first))
    live(first, 60)
    assert only(first).why == "forecast"
    texts = await Demands(first.foresight).texts(WALL)
    assert len([text for text in texts if text != EMPTY]) == 1
    found = [await Demands(second.foresight).take(text, WALL + 60) for text in texts]
    assert sum(found) == 1
    assert "of 30 minutes known" in only(second).why
    live(second, 60)
    assert only(second).why == "forecast"
    assert only(second).predicted == pytest.approx(only(first).predicted, rel=0.01)


async def test_a_broken_shard_is_an_error_and_costs_nothing_that_is_known() -> None:
    world = world_of(Mode.ACT)
    live(world, 60)
    before = world.foresight.forecasters()
    with pytest.raises(BadCheckpoint, match="no checkpoint of demands"):
        await Demands(world.foresight).take("x", WALL)
    live(world, 30)
    assert world.foresight.forecasters() == before


async def test_each_replica_adds_its_totals_to_those_that_are_there_and_knows_all() -> None:
    view = METRICS[METRIC].view
    one, two = (TotalKey("default", "Deployment.apps", name, METRIC, view) for name in ("a", "b"))
    recalled: dict[TotalKey, float] = {}
    first = Totals(lambda: {one: 7.5}, lambda _: None)
    second = Totals(lambda: {two: 2.0, one: 8.0}, recalled.update)
    for text in await first.texts(WALL):
        await second.take(text, WALL + 300)
    assert recalled == {one: 7.5}
    texts = await second.texts(WALL + 300)
    third = Totals(dict, recalled.update)
    assert sum([await third.take(text, WALL + 600) for text in texts]) == 2
    assert recalled == {one: 8.0, two: 2.0}
    assert await third.texts(WALL + 600) == texts
    assert await third.texts(WALL + 300 + KEPT_SECONDS + 1) == (EMPTY_TOTALS,) * SHARDS


async def test_totals_that_are_read_anew_shard_by_shard_are_never_fewer_meanwhile() -> None:
    view = METRICS[METRIC].view
    names = [f"llm-{number}" for number in range(20)]
    keys = {TotalKey("default", "Deployment.apps", name, METRIC, view) for name in names}
    recalled: list[set[TotalKey]] = []
    reader = Totals(dict, lambda totals: recalled.append(set(totals)))
    texts = await Totals(lambda: dict.fromkeys(keys, 1.0), lambda _: None).texts(WALL)
    assert len([text for text in texts if text != EMPTY_TOTALS]) > 1
    for _ in range(2):
        for text in texts:
            await reader.take(text, WALL + 300)
        await reader.texts(WALL + 300)
    assert recalled[SHARDS - 1 :] == [keys] * (SHARDS + 1)
    await reader.take(EMPTY_TOTALS, WALL + KEPT_SECONDS + 1)
    assert recalled[-1] == set()  # what is too old is nobody's total any more
