"""Owns the proof that the fake model server's figures follow from the requests it was sent."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar import engines
from tests.controlplane.processes import free_ports
from tests.fakes.expositions import ENGINES


def free_port() -> int:
    return free_ports(1)[0]


@asynccontextmanager
async def started(*args: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.model_server", "--port", str(port), *args
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def metrics(http: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


async def health(http: aiohttp.ClientSession, url: str) -> int:
    """Return the status of /health, 0 while the connection is refused."""
    try:
        async with http.get(f"{url}/health") as answer:
            return answer.status
    except aiohttp.ClientConnectorError:
        return 0


async def healthy(http: aiohttp.ClientSession, url: str) -> None:
    deadline = time.monotonic() + 10
    while await health(http, url) != 200:
        assert time.monotonic() < deadline, "the model server never became healthy"
        await asyncio.sleep(0.02)


async def complete(http: aiohttp.ClientSession, url: str) -> None:
    body = {"prompt": "two words", "max_tokens": 8}
    async with http.post(f"{url}/v1/completions", json=body) as answer:
        assert answer.status == 200


async def test_requests_beyond_the_slots_wait_and_are_counted_when_done() -> None:
    options = ("--slots", "2", "--service-time", "0.5")
    async with started(*options) as (url, _), aiohttp.ClientSession() as http:
        await healthy(http, url)
        work = [asyncio.create_task(complete(http, url)) for _ in range(5)]
        await asyncio.sleep(0.25)
        busy = await metrics(http, url)
        await asyncio.gather(*work)
        idle = await metrics(http, url)
    assert (busy["vllm:num_requests_running"], busy["vllm:num_requests_waiting"]) == (2, 3)
    assert (idle["vllm:num_requests_running"], idle["vllm:num_requests_waiting"]) == (0, 0)
    assert idle["vllm:request_success_total"] == 5
    assert idle["vllm:generation_tokens_total"] == 40
    assert idle["vllm:time_to_first_token_seconds_count"] == 5


async def test_triton_prints_its_own_names_for_the_same_queue() -> None:
    options = ("--engine", "triton", "--slots", "1", "--service-time", "0.4")
    async with started(*options) as (url, _), aiohttp.ClientSession() as http:
        await healthy(http, url)
        work = [asyncio.create_task(complete(http, url)) for _ in range(3)]
        await asyncio.sleep(0.2)
        found = await metrics(http, url)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    assert found["nv_inference_pending_request_count"] == 2


@pytest.mark.parametrize("engine", sorted(ENGINES))
async def test_what_each_engine_prints_is_read_as_its_queue_by_the_engine_table(
    engine: str,
) -> None:
    options = ("--engine", engine, "--slots", "1", "--service-time", "0.6")
    async with started(*options) as (url, _), aiohttp.ClientSession() as http:
        await healthy(http, url)
        work = [asyncio.create_task(complete(http, url)) for _ in range(3)]
        await asyncio.sleep(0.25)
        async with http.get(f"{url}/metrics") as answer:
            found = engines.parse(await answer.read())
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    assert found.reading is not None
    assert found.reading.kind == engine.removesuffix("-0.9")
    assert (found.reading.pending, found.problems) == (2.0, ())
    assert found.reading.running == (None if engine == "triton" else 1.0)


@pytest.mark.parametrize(("way", "seen"), [("refuse", 0), ("503", 503)])
async def test_a_cold_start_refuses_or_answers_503_until_loaded(way: str, seen: int) -> None:
    options = ("--cold-start", "1.5", "--while-loading", way)
    async with started(*options) as (url, _), aiohttp.ClientSession() as http:
        statuses = {await health(http, url)}
        deadline = time.monotonic() + 10
        while 200 not in statuses and time.monotonic() < deadline:
            statuses.add(await health(http, url))
            await asyncio.sleep(0.02)
    assert {200, seen} <= statuses <= {0, 200, seen}


async def test_sigterm_stops_it_at_once_with_requests_in_line() -> None:
    options = ("--slots", "1", "--service-time", "30")
    async with started(*options) as (url, process), aiohttp.ClientSession() as http:
        await healthy(http, url)
        work = asyncio.create_task(complete(http, url))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert time.monotonic() - began < 1
        await asyncio.gather(work, return_exceptions=True)
