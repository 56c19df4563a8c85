"""Rounds: how often is asked, and what makes it less often. The first gap is any part of a wait."""

import asyncio
import itertools

import pytest

from adapter.intake.rounds import WAIT_PER_PARSE, Round, rounds


async def gaps(result: Round, period_seconds: float, asked: int) -> list[float]:
    """Return the seconds between the first `asked` rounds, each of which comes to `result`."""
    clock = asyncio.get_running_loop().time
    times: list[float] = []
    done = asyncio.Event()

    async def ask() -> Round:
        times.append(clock())
        if len(times) == asked:
            done.set()
        return result

    going = asyncio.create_task(rounds(ask, period_seconds, 0.0))
    async with asyncio.timeout(10):
        await done.wait()
    going.cancel()
    return [later - earlier for earlier, later in itertools.pairwise(times)]


async def test_an_answer_is_asked_for_again_after_a_period() -> None:
    found = await gaps(Round(answered=True, cost_seconds=0.0), 0.1, 4)
    assert all(gap >= 0.09 for gap in found[1:])


async def test_without_an_answer_the_wait_doubles() -> None:
    found = await gaps(Round(answered=False, cost_seconds=0.0), 0.1, 4)
    assert found[1] >= 0.36
    assert found[2] >= 0.72


@pytest.mark.parametrize("answered", [True, False])
async def test_a_page_that_costs_much_to_read_is_asked_for_less_often(*, answered: bool) -> None:
    found = await gaps(Round(answered, cost_seconds=0.02), 0.05, 3)
    assert found[1] >= 0.9 * 0.02 * WAIT_PER_PARSE
