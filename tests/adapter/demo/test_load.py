"""Requests go where a Service would send them, and what became of them is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from adapter.demo.fakes import Fakes
from adapter.demo.load import Balancer
from adapter.demo.replica import Replica
from tests.adapter.demo.props import pod, served


def replica(session: aiohttp.ClientSession, url: str, *, ready: bool) -> Replica:
    fakes = Fakes(Path(), cast("Any", None))
    made = Replica(
        pod(ready_at=1.0 if ready else None),
        fakes=fakes,
        logs=Path(),
        pods=Path(),
        session=session,
    )
    made.url = url
    return made


async def test_each_request_goes_to_the_ready_pod_that_has_the_fewest() -> None:
    seen = []

    async def complete(request: web.Request) -> web.Response:
        seen.append((await request.json())["prompt"])
        await asyncio.sleep(0.2)
        return web.json_response({})

    async with (
        served("POST", "/v1/completions", complete) as url,
        aiohttp.ClientSession() as session,
    ):
        busy = replica(session, "http://127.0.0.1:9", ready=True)
        loading = replica(session, "http://127.0.0.1:9", ready=False)
        free = replica(session, url, ready=True)
        for _ in range(5):
            busy.take()
        balancer = Balancer(lambda: [busy, loading, free], session)
        async with asyncio.TaskGroup() as group:
            await balancer.play(iter([0.0, 0.0, 0.01]), group)
    assert len(seen) == 3
    assert (balancer.sent, balancer.served, balancer.failed) == (3, 3, 0)
    assert (busy.outstanding, loading.outstanding, free.outstanding) == (5, 0, 0)


async def test_without_a_ready_pod_a_request_fails_as_a_service_without_endpoints() -> None:
    async with aiohttp.ClientSession() as session:
        balancer = Balancer(list, session)
        async with asyncio.TaskGroup() as group:
            await balancer.play(iter([0.0]), group)
        assert (balancer.sent, balancer.failed) == (1, 1)
        now = asyncio.get_running_loop().time()
        assert balancer.rate(now) == pytest.approx(0.2)
        assert balancer.rate(now + 60) == 0
