"""What was learnt of demands, and totals, go to their shards and back while both replicas go on."""

from __future__ import annotations

import pytest

from adapter.errors import BadCheckpoint
from adapter.intake.kept import Demands, Totals
from adapter.model.forecast import Forecaster
from adapter.model.foreseen import Mode
from adapter.model.remembered import EMPTY
from adapter.model.snapshot import TotalKey
from tests.adapter.model.test_forecast import noisy
from tests.adapter.model.test_foresight import live, only, world_of
from tests.adapter.model.world import START, WALL, World


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


async def test_the_complete_totals_of_one_life_are_those_of_the_next() -> None:
    world = world_of(Mode.ACT)
    live(world, 60)
    ((key, _),) = world.foresight.forecasters()
    recalled: dict[TotalKey, float] = {}
    kept = Totals(lambda: {key: 7.5}, recalled.update)
    found = [await kept.take(text, WALL + 60) for text in await kept.texts(WALL)]
    assert (sum(found), recalled) == (1, {key: 7.5})
