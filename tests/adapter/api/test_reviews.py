"""Questions are asked once, remembered for a while, and never waited for longer than a second."""

from __future__ import annotations

import asyncio
import time

import pytest

from adapter.api import reviews as module
from adapter.api.reviews import Budget, Reviews
from adapter.errors import KubeError, Unavailable


class Oracle:
    """Answers questions as the test says, and counts them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.answers: dict[str, bool] = {}
        self.error: KubeError | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[str] = []
        self.reviews: Reviews[str, bool] = Reviews(
            "Review", self.ask, now=lambda: self.now, per_second=10.0
        )

    async def ask(self, key: str) -> bool:
        self.asked.append(key)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return self.answers.get(key, False)


async def test_yes_and_no_are_remembered_for_ten_seconds() -> None:
    oracle = Oracle()
    oracle.answers = {"a": True}
    assert [await oracle.reviews.get("a"), await oracle.reviews.get("b")] == [True, False]
    oracle.answers = {"b": True}
    oracle.now += 9.9
    assert [await oracle.reviews.get("a"), await oracle.reviews.get("b")] == [True, False]
    assert oracle.asked == ["a", "b"]


async def test_an_older_answer_is_asked_anew_before_it_is_given() -> None:
    oracle = Oracle()
    oracle.answers = {"a": True}
    assert [await oracle.reviews.get("a"), await oracle.reviews.get("b")] == [True, False]
    oracle.answers = {"b": True}
    oracle.now += 15.0
    assert [await oracle.reviews.get("a"), await oracle.reviews.get("b")] == [False, True]
    assert oracle.asked == ["a", "b", "a", "b"]


async def test_an_older_answer_stands_in_where_none_comes_in_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ANEW_SECONDS", 0.02)
    oracle = Oracle()
    oracle.answers = {"a": True}
    await oracle.reviews.get("a")
    oracle.answers = {}
    oracle.now += 15.0
    oracle.open.clear()
    assert [await oracle.reviews.get("a") for _ in range(3)] == [True, True, True]
    oracle.open.set()
    await asyncio.sleep(0.01)
    assert await oracle.reviews.get("a") is False
    assert oracle.asked == ["a", "a"]


async def test_a_right_is_lost_ten_seconds_after_it_was_last_looked_at() -> None:
    oracle = Oracle()
    oracle.answers = {"a": True}
    await oracle.reviews.get("a")
    oracle.answers = {}
    seconds = 0
    while await oracle.reviews.get("a"):
        oracle.now += 1.0
        seconds += 1
    assert seconds == 10


async def test_a_hundred_who_ask_at_once_ask_once() -> None:
    oracle = Oracle()
    oracle.answers = {"a": True}
    oracle.open.clear()
    waiting = [asyncio.create_task(oracle.reviews.get("a")) for _ in range(100)]
    await asyncio.sleep(0.01)
    oracle.open.set()
    assert await asyncio.gather(*waiting) == [True] * 100
    assert oracle.asked == ["a"]


async def test_the_last_answer_stands_in_for_a_minute_while_none_comes() -> None:
    oracle = Oracle()
    oracle.answers = {"a": True}
    await oracle.reviews.get("a")
    oracle.error = KubeError(0, "Timeout", "no answer")
    oracle.now += 69.0
    assert await oracle.reviews.get("a") is True
    oracle.now += 2.0
    with pytest.raises(Unavailable, match="Review failed: no answer"):
        await oracle.reviews.get("a")


async def test_who_was_never_asked_about_is_told_why_within_a_second() -> None:
    oracle = Oracle()
    oracle.open.clear()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no answer in time"):
        await oracle.reviews.get("a")
    assert time.monotonic() - began < 1.0
    await oracle.reviews.close()


async def test_an_answer_that_comes_late_serves_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.02)
    oracle = Oracle()
    oracle.answers = {"a": True}
    oracle.open.clear()
    with pytest.raises(Unavailable):
        await oracle.reviews.get("a")
    oracle.open.set()
    await asyncio.sleep(0)
    assert await oracle.reviews.get("a") is True
    assert oracle.asked == ["a"]


async def test_a_caller_who_leaves_does_not_end_the_question_for_others() -> None:
    oracle = Oracle()
    oracle.answers = {"a": True}
    oracle.open.clear()
    leaving = asyncio.create_task(oracle.reviews.get("a"))
    staying = asyncio.create_task(oracle.reviews.get("a"))
    await asyncio.sleep(0.01)
    leaving.cancel()
    oracle.open.set()
    assert await staying is True


async def test_strangers_are_held_off_and_known_callers_are_not() -> None:
    oracle = Oracle()
    await oracle.reviews.get("known")
    for number in range(19):
        await oracle.reviews.get(str(number))
    with pytest.raises(Unavailable, match="too many new callers"):
        await oracle.reviews.get("one more")
    assert await oracle.reviews.get("known") is False
    oracle.now += 1.0
    assert await oracle.reviews.get("one more") is False


async def test_a_failure_is_told_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    oracle = Oracle()
    oracle.error = KubeError(0, "Timeout", "no answer")
    for key in "abc":
        with pytest.raises(Unavailable):
            await oracle.reviews.get(key)
    oracle.error = None
    await oracle.reviews.get("d")
    await oracle.reviews.get("e")
    told = [record.getMessage() for record in caplog.records]
    assert told == ["review_failed", "review_recovered"]


async def test_memory_is_bounded_and_the_oldest_answer_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    oracle = Oracle()
    for key in ("a", "b", "c", "b", "a"):
        await oracle.reviews.get(key)
    assert oracle.asked == ["a", "b", "c", "a"]


async def test_closing_ends_what_is_being_asked() -> None:
    oracle = Oracle()
    oracle.open.clear()
    waiting = asyncio.create_task(oracle.reviews.get("a"))
    await asyncio.sleep(0.01)
    await oracle.reviews.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_budget_allows_twice_its_rate_at_once_and_its_rate_from_then_on() -> None:
    budget = Budget(5.0, 0.0)
    assert sum(budget.take(0.0) for _ in range(100)) == 10
    assert sum(budget.take(1.0) for _ in range(100)) == 5
    assert sum(budget.take(100.0) for _ in range(100)) == 10
