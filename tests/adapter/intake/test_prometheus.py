"""A real Prometheus that scrapes a real sidecar: pasts and presents come from it, or nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from adapter.intake.prometheus import UNLISTED, PrometheusSource
from adapter.model.batch import Batch, ModelState, Origin, Reading
from adapter.model.fleet import Fleet, Pod, SourceKind
from adapter.model.window import Window
from adapter.settings import Prometheus, Settings
from adapter.telemetry import Metrics
from tests.adapter.intake.scraping import answering, listening
from tests.adapter.model.world import serving_pod
from tests.controlplane.processes import free_ports

pytestmark = pytest.mark.process

SIDECAR = [sys.executable, "-m", "sidecar", "--engine", "vllm"]
SERVER = [sys.executable, "-m", "tests.fakes.model_server", "--slots", "1", "--service-time", "60"]
READY = {"ready_changed_at": 0.0, "model_started_at": 0.0}


def free_port() -> int:
    return free_ports(1)[0]


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdout=null, stderr=null, env=os.environ | {"POD_UID": "u1"}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def prometheus(folder: Path, port: int, target: int) -> list[str]:
    """Return the command of a Prometheus that scrapes the target as pod default/llm-0."""
    program = shutil.which("prometheus")
    assert program, "prometheus is missing: sudo apt-get install -y prometheus"
    labels = {"namespace": "default", "pod": "llm-0"}
    scrape = {
        "job_name": "pods",
        "scrape_interval": "2s",
        "scrape_timeout": "2s",
        "static_configs": [{"targets": [f"127.0.0.1:{target}"], "labels": labels}],
    }
    (folder / "config.json").write_text(json.dumps({"scrape_configs": [scrape]}))
    return [
        program,
        f"--config.file={folder / 'config.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]


class Heard:
    """What a source delivered and reported."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.why: dict[str, str] = {}

    def add(self, reading: Reading) -> None:
        self.readings.append(reading)

    def report(self, uid: str, why: str) -> None:
        self.why[uid] = why

    async def until(self, seen: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < deadline, (self.why, self.readings[-1:])
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def asking(
        self, port: int, *pods: Pod, period_seconds: float = 3.0
    ) -> AsyncIterator[None]:
        url = f"http://127.0.0.1:{port}"
        asked = Prometheus(url=url, period_seconds=period_seconds, seconds=5.0)
        fleet = Fleet.of(pods, 1)
        source = PrometheusSource(Settings(prometheus=asked), lambda: fleet, Metrics(), self)
        task = asyncio.create_task(source.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def asks(name: str) -> Pod:
    return serving_pod(name, source=SourceKind.PROMETHEUS, **READY)


async def queue_two_requests(port: int) -> asyncio.Task[None]:
    """Send two requests to a model server of one slot: one is served, one waits."""

    async def one(http: aiohttp.ClientSession) -> None:
        url = f"http://127.0.0.1:{port}/v1/completions"
        while True:
            try:
                async with http.post(url, json={"prompt": "a", "max_tokens": 1}) as answer:
                    await answer.read()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.1)

    async def both() -> None:
        async with aiohttp.ClientSession() as http:
            await asyncio.gather(one(http), one(http))

    return asyncio.create_task(both())


async def test_a_pod_without_a_sidecar_of_ours_is_read_from_what_prometheus_scrapes(
    tmp_path: Path,
) -> None:
    engine, scraped, port = free_ports(3)
    url = f"http://127.0.0.1:{engine}/metrics"
    heard = Heard()
    async with (
        running(*SERVER, "--port", str(engine)),
        running(*SIDECAR, "--engine-url", url, "--host", "127.0.0.1", "--port", str(scraped)),
        running(*prometheus(tmp_path, port, scraped)) as server,
    ):
        load = await queue_two_requests(engine)
        async with heard.asking(port, asks("llm-0"), asks("llm-1")):
            await heard.until(lambda: wanted(heard) == {"pending": 1.0, "running": 1.0})
            reading = [r for r in heard.readings if r.origin is Origin.POD][-1]
            assert reading.uid == "uid-llm-0"
            assert reading.model is ModelState.READY
            assert all(0 <= reading.at - point.at < 10 for point in reading.points)
            assert heard.why["uid-llm-1"] == UNLISTED
            # Its past is asked for at whole seconds and taken once: one of them must have come.
            known = len(heard.readings)
            await heard.until(lambda: len(heard.readings) >= known + 2)
            past = Heard()
            async with past.asking(port, serving_pod("llm-0", **READY), period_seconds=10.0):
                await past.until(lambda: past.readings)
            check_past(past.readings[0])
            heard.why.clear()
            server.kill()
            await heard.until(lambda: "uid-llm-0" in heard.why)
        count = len(heard.readings)
        assert "ConnectionError" in heard.why["uid-llm-0"]
        assert len(heard.readings) == count
        load.cancel()


def wanted(heard: Heard) -> dict[str, float]:
    points = heard.readings[-1].points if heard.readings else ()
    return {p.series: p.value for p in points if p.series in ("pending", "running")}


def check_past(reading: Reading) -> None:
    """The past says nothing of the present, and a window shows it with the first live reading."""
    assert (reading.origin, reading.model) == (Origin.HISTORY, ModelState.UNKNOWN)
    assert reading.points == ()
    newest = {column.series: column.values[-1] for column in reading.history}
    assert newest["pending"] == newest["running"] == 1.0
    assert newest["inflight"] == 2.0
    assert next(v for c in reading.history if c.series == "pending" for v in c.values) is None
    window = Window()
    window.append(Batch((reading,)), reading.at)
    frozen = window.freeze()
    row = frozen.rows[reading.uid, "pending"]
    assert frozen.last_at[row] != frozen.last_at[row]  # NaN: a past alone is no value to serve


async def test_a_prometheus_that_is_empty_is_normal_and_nothing_is_zero(tmp_path: Path) -> None:
    port, heard = free_port(), Heard()
    async with running(*prometheus(tmp_path, port, 1)), heard.asking(port, asks("llm-0")):
        await heard.until(lambda: heard.why.get("uid-llm-0") == UNLISTED)
    assert heard.readings == []


async def test_a_prometheus_that_is_not_there_is_normal(caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()
    async with heard.asking(free_port(), asks("llm-0"), serving_pod("llm-1")):
        await heard.until(lambda: heard.why)
        began = time.monotonic()
        await heard.until(lambda: time.monotonic() - began > 4.0)
    assert heard.readings == []
    assert list(heard.why) == ["uid-llm-0"]
    assert [r.message for r in caplog.records].count("prometheus_unreadable") == 1


async def test_what_a_slow_prometheus_answers_is_as_old_as_the_question() -> None:
    asked_at: list[float] = []

    async def handler(request: web.Request) -> web.Response:
        if "range" in request.path:
            return web.json_response({"status": "success", "data": {"result": []}})
        if request.query["query"] == "time()":
            asked_at.append(asyncio.get_running_loop().time())
            return web.json_response({"status": "success", "data": {"result": [5, "5.0"]}})
        await asyncio.sleep(0.2)
        labels = {"namespace": "default", "pod": "llm-0"}
        parts = [{"metric": labels | {"part": one}, "value": [5, "5"]} for one in ("value", "at")]
        return web.json_response({"status": "success", "data": {"result": parts}})

    heard = Heard()
    async with listening(answering(handler)) as port, heard.asking(port, asks("llm-0")):
        await heard.until(lambda: heard.readings)
    reading = heard.readings[0]
    assert reading.points
    assert max(point.at for point in reading.points) <= asked_at[1]
    assert reading.at <= asked_at[1]
