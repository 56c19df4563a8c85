"""Slots that namespaces share: whose turn it is, how many one may hold, and who went away."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.slots import Slots


async def worked(slots: Slots, namespaces: list[str]) -> tuple[list[str], Counter[str], int]:
    """Who had a place in which order, and how many places each had, and all had, at most."""
    order, held, most, all_held = list[str](), Counter[str](), Counter[str](), 0

    async def work(namespace: str) -> None:
        nonlocal all_held
        async with slots.of(namespace):
            order.append(namespace)
            held[namespace] += 1
            most[namespace] = max(most[namespace], held[namespace])
            all_held = max(all_held, held.total())
            await asyncio.sleep(0)
            held[namespace] -= 1

    async with asyncio.timeout(10):
        await asyncio.gather(*map(work, namespaces))
    return order, most, all_held


async def test_one_page_waits_for_one_of_each_other_namespace() -> None:
    order, _, _ = await worked(Slots(1, 1), [*["flood"] * 1000, *["busy"] * 50, "tenant"])
    assert order.index("tenant") <= 3
    assert Counter(order) == {"flood": 1000, "busy": 50, "tenant": 1}


async def test_a_namespace_that_holds_all_it_may_keeps_no_other_out() -> None:
    slots = Slots(4, 2)
    async with slots.of("flood"), slots.of("flood"):
        third = asyncio.create_task(worked(slots, ["flood"]))
        await asyncio.sleep(0)
        order, _, _ = await worked(slots, ["tenant"] * 3)
        assert order == ["tenant"] * 3
        assert not third.done()
    assert (await third)[0] == ["flood"]


@given(
    st.lists(st.sampled_from("abc"), max_size=40),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_all_get_a_place_and_nobody_more_than_there_are(
    namespaces: list[str], places: int, each: int
) -> None:
    order, most, held = asyncio.run(worked(Slots(places, each), namespaces))
    assert Counter(order) == Counter(namespaces)
    assert held <= places
    assert max(most.values(), default=0) <= each


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=20), st.integers(0, 5))
def test_whoever_goes_away_while_waiting_or_working_leaves_no_place_taken(
    work: list[tuple[str, bool]], turns: int
) -> None:
    async def scene() -> list[str]:
        slots = Slots(2, 1)
        tasks = [(asyncio.create_task(worked(slots, [who])), leaves) for who, leaves in work]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task, leaves in tasks:
            if leaves:
                task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
            return (await worked(slots, ["a", "b", "c"]))[0]

    assert sorted(asyncio.run(scene())) == ["a", "b", "c"]
