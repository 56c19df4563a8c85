"""Whoever has one question waits for one of each other caller, whatever they ask."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Hashable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler
from hypothesis import given
from hypothesis import strategies as st

from adapter.api import server as servers
from adapter.api.turns import CALLER, MAX_WAITING, Turns
from tests.adapter.api.serving import METRIC, Serving


async def asked(callers: list[str]) -> list[str]:
    """Who got a turn, in order, where all ask at the same moment."""
    turns, order = Turns(), list[str]()

    async def ask(caller: str) -> None:
        await turns.take(caller)
        order.append(caller)

    async with asyncio.timeout(10):
        await asyncio.gather(*map(ask, callers))
    return order


async def test_one_question_waits_for_one_of_each_other_caller() -> None:
    order = await asked([*["flood"] * 100, *["tenant"] * 100, "hpa"])
    assert order.index("hpa") <= 4
    assert Counter(order) == {"flood": 100, "tenant": 100, "hpa": 1}


async def test_other_work_comes_in_between_two_turns() -> None:
    rounds = 0

    async def others() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(others())
    await asked(["flood"] * 200)
    working.cancel()
    assert rounds >= 200


async def test_who_has_gone_is_passed_over() -> None:
    turns = Turns()
    first = asyncio.create_task(turns.take("first"))
    gone = asyncio.create_task(turns.take("gone"))
    last = asyncio.create_task(turns.take("last"))
    await asyncio.sleep(0)
    gone.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(first, last)
        await turns.take("later")
    assert gone.cancelled()


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_everybody_gets_each_turn_and_nobody_two_while_another_waits(callers: list[str]) -> None:
    order = asyncio.run(asked(callers))
    assert Counter(order) == Counter(callers)
    # The very first goes at once; from then on the lines are gone through in turn.
    left = Counter(order[1:])
    rest = order[1:]
    for caller, following in itertools.pairwise(rest):
        left[caller] -= 1
        assert following != caller or len(+left) == 1


class Told(Turns):
    """Turns that tell whose they were."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[object] = []

    async def take(self, caller: Hashable, gone: Callable[[], bool] = lambda: False) -> None:
        self.callers.append(caller)
        await super().take(caller, gone)


async def test_a_request_stands_in_its_callers_line_and_that_of_an_open_route_in_none() -> None:
    turns = Told()

    @web.middleware
    async def name(request: web.Request, handler: Handler) -> web.StreamResponse:
        if user := request.headers.get("X-User"):
            request[CALLER] = user
        return await handler(request)

    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(middlewares=[name, turns.middleware({"open"})])
    app.router.add_get("/open", answer, name="open")
    app.router.add_get("/metric", answer, name="metric")
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        for path, headers in (("/metric", {"X-User": "hpa"}), ("/open", {}), ("/metric", {})):
            async with session.get(server.make_url(path), headers=headers) as response:
                assert response.status == 200
    assert turns.callers == ["hpa", "127.0.0.1"]


class Stalled(Turns):
    """Turns that go on only once `going` is set."""

    going = False

    def _next(self) -> None:
        if self.going:
            super()._next()
        else:
            asyncio.get_running_loop().call_later(0.01, self._next)

    def waiting(self) -> int:
        return sum(map(len, self._lines.values()))


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Stalled:
    turns = Stalled()
    monkeypatch.setattr(servers, "Turns", lambda: turns)
    return turns


QUERY = f"GET {METRIC} HTTP/1.1\r\nHost: x\r\nX-Remote-User: hpa\r\nX-Remote-Group: system:masters"
OF_KUBE_APISERVER = f"{QUERY}\r\nConnection: close\r\n\r\n".encode()


async def sent(serving: Serving) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await serving.connected(serving.proxy)
    writer.write(OF_KUBE_APISERVER)
    return reader, writer


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_clients_that_have_gone_cost_no_answer(tmp_path: Path, stalled: Stalled) -> None:
    async with Serving(tmp_path) as serving:
        first, kept = await sent(serving)
        await until(lambda: stalled._taken)
        gone = [(await sent(serving))[1] for _ in range(20)]
        await until(lambda: stalled.waiting() == 20)
        live, open_too = await sent(serving)
        await until(lambda: stalled.waiting() == 21)
        for writer in gone:
            writer.close()
        assert serving.server._runner is not None
        connections = serving.server._runner.server
        assert connections is not None
        await until(lambda: sum(one.transport is None for one in connections.connections) == 20)
        stalled.going = True
        async with asyncio.timeout(10):
            assert [(await reader.read()).split()[1] for reader in (first, live)] == [b"200"] * 2
        kept.close()
        open_too.close()
        assert serving.metrics.requests.labels("200")._value.get() == 2
        await until(lambda: serving.metrics.requests.labels("503")._value.get() == 20)


async def test_a_line_that_is_full_says_so_at_once(tmp_path: Path, stalled: Stalled) -> None:
    async with Serving(tmp_path) as serving:
        first = await sent(serving)
        await until(lambda: stalled._taken)
        waiting = [await sent(serving) for _ in range(MAX_WAITING)]
        await until(lambda: stalled.waiting() == MAX_WAITING)
        more, writer = await sent(serving)
        async with asyncio.timeout(5):
            answer = await more.read()
        assert answer.split()[1] == b"503"
        assert b"256 queries of this caller wait already" in answer
        stalled.going = True
        async with asyncio.timeout(20):
            assert (await waiting[-1][0].read()).split()[1] == b"200"
        for _, opened in (first, *waiting, (more, writer)):
            opened.close()
