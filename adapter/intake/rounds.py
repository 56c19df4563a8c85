"""The rounds: a page is asked again and again, and less often while that brings nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

# What comes up is found within this; what is down is not asked more often.
LONGEST_WAIT_SECONDS = 15.0
# No page is worth more than 2 % of a core: one that takes long to read is read less often.
WAIT_PER_PARSE = 50.0
JITTER = 0.1


class Round(NamedTuple):
    """What one round came to: whether there was an answer, and the processor time it cost."""

    answered: bool
    cost_seconds: float


async def rounds(
    ask: Callable[[], Awaitable[Round]], period_seconds: float, first_delay_seconds: float
) -> None:
    """Call `ask` every period until cancelled."""
    await asyncio.sleep(first_delay_seconds)
    clock = asyncio.get_running_loop().time
    wait = period_seconds
    spread = random.uniform(0.1, 1.0)  # noqa: S311 - a fleet's second round is no burst
    while True:
        due = clock()
        answered, cost_seconds = await ask()
        longest = max(period_seconds, LONGEST_WAIT_SECONDS)
        wait = period_seconds if answered else min(2 * wait, longest)
        due += max(wait, WAIT_PER_PARSE * cost_seconds) * spread
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        await asyncio.sleep(due - clock())
