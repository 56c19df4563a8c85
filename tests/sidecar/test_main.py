"""Owns the proof of the whole program: a real process, its streams, its end, and its weight."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sidecar import wire
from sidecar.wire import EngineState, Frame
from tests.fakes.nvml import FakeGpus
from tests.sidecar.conftest import until

pytestmark = pytest.mark.process

RATES = "nvmlDeviceGetUtilizationRates"
MIB = 2**20


@dataclass
class Sidecar:
    process: asyncio.subprocess.Process
    url: str
    http: aiohttp.ClientSession

    @property
    def tree(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    async def sample(self) -> Frame:
        async with self.http.get(f"{self.url}/v1/sample") as answer:
            return wire.decode(await answer.read())

    async def text(self, path: str) -> str:
        async with self.http.get(f"{self.url}{path}") as answer:
            return await answer.text()

    async def wait_for(self, seen: Callable[[Frame], object], seconds: float = 10) -> float:
        async def matches() -> bool:
            return bool(seen(await self.sample()))

        return await until(matches, seconds)

    async def log(self) -> list[dict[str, Any]]:
        """Return every line that it logged; it must have ended."""
        assert self.process.stderr is not None
        return [json.loads(line) for line in (await self.process.stderr.read()).splitlines()]


@asynccontextmanager
async def sidecar(port: int, *argv: str, **environ: str) -> AsyncIterator[Sidecar]:
    command = (sys.executable, "-m", "sidecar", "--port", str(port), *argv)
    environment = os.environ | environ
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=pipe)
    async with aiohttp.ClientSession() as http:
        found = Sidecar(process, f"http://127.0.0.1:{port}", http)

        async def alive() -> bool:
            assert process.returncode is None, await found.log()
            try:
                async with http.get(f"{found.url}/livez") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectorError:
                return False

        try:
            await until(alive)
            yield found
        finally:
            if process.returncode is None:
                await stop(found)


async def stop(running: Sidecar) -> float:
    """End it by SIGTERM; return how long that took."""
    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running.process.wait(), 5) == 0
    return time.monotonic() - began


async def lines(answer: aiohttp.ClientResponse) -> AsyncIterator[Frame]:
    async for line in answer.content:
        yield wire.decode(line)


def busy(frame: Frame) -> float | None:
    return frame.gpus[0].busy_percent if frame.gpus else None


async def test_a_change_of_the_gpu_is_in_the_stream_within_its_period(
    free_port: int, gpus: FakeGpus
) -> None:
    gpus.set(0, busy_percent=20)
    argv = ("--engine", "none", "--gpu-uuids", gpus.uuids[0])
    async with sidecar(free_port, *argv, POD_UID="uid-1") as running:
        await running.wait_for(lambda frame: busy(frame) == 20.0)
        async with running.http.get(f"{running.url}/v1/stream") as answer:
            frames = lines(answer)
            assert (await anext(frames)).uid == "uid-1"
            gpus.set(0, busy_percent=90)
            began = time.monotonic()
            async for frame in frames:
                if busy(frame) == 90.0:
                    break
            assert time.monotonic() - began < 2.5
            assert frame.age_seconds is not None
            assert frame.age_seconds.gpu is not None
            assert frame.age_seconds.gpu < 0.5


async def test_a_hang_of_the_driver_costs_the_gpu_figures_only_and_heals(
    free_port: int, gpus: FakeGpus, faults: str
) -> None:
    argv = ("--engine-url", f"{faults}/good", "--gpu-uuids", ",".join(gpus.uuids))
    async with sidecar(free_port, *argv, "--gpu-timeout", "500ms", "--gpu-period", "1s") as running:
        await running.wait_for(lambda frame: busy(frame) is not None)
        (child,) = running.tree.children()
        gpus.hang(RATES)
        took = await running.wait_for(lambda frame: frame.gpus is None)
        assert took < 1.0 + 0.5 + 2.0  # the period, the deadline, and two seconds
        during = await running.sample()
        assert during.engine is not None
        assert (during.engine.state, during.engine.pending) == (EngineState.READY, 1.0)
        assert during.attribution is not None
        assert "did not answer" in (during.attribution.why or "")
        gpus.heal()
        await running.wait_for(lambda frame: busy(frame) is not None, 15)
        assert not child.is_running()
        assert all(p.status() != psutil.STATUS_ZOMBIE for p in running.tree.children())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
async def test_an_nvml_process_that_dies_or_stops_is_replaced_without_a_zombie(
    free_port: int, gpus: FakeGpus, number: signal.Signals
) -> None:
    argv = ("--engine", "none", "--gpu-uuids", ",".join(gpus.uuids), "--gpu-period", "1s")
    async with sidecar(free_port, *argv, "--gpu-timeout", "300ms") as running:
        await running.wait_for(lambda frame: frame.gpus)
        (child,) = running.tree.children()
        child.send_signal(number)

        async def replaced() -> bool:
            pids = [process.pid for process in running.tree.children()]
            return len(pids) == 1 and child.pid not in pids

        await until(replaced)
        await running.wait_for(lambda frame: frame.gpus)


async def test_it_runs_and_says_so_without_gpu_driver_or_engine(free_port: int) -> None:
    async with sidecar(free_port) as running:
        await running.wait_for(lambda frame: "libnvidia-ml.so.1" in _why(frame))
        frame = await running.sample()
        assert frame.engine is not None
        assert frame.engine.state is EngineState.LOADING
        assert frame.gpus is None
        await stop(running)
        said = await running.log()
    messages = [line["event"] for line in said]
    assert messages[0] == "starting"
    assert {"model server: none found yet", "no GPUs are published"} < set(messages)
    assert messages[-1] == "stopped"
    assert len(messages) == len(set(messages))
    assert said[0]["port"] == free_port


def _why(frame: Frame) -> str:
    return (frame.attribution.why or "") if frame.attribution else ""


async def test_an_engine_whose_page_is_404_is_said_with_the_flag(
    free_port: int, faults: str
) -> None:
    argv = ("--engine", "triton", "--engine-url", f"{faults}/missing")
    async with sidecar(free_port, *argv) as running:
        await running.wait_for(
            lambda frame: frame.engine and "--allow-metrics=true" in (frame.engine.why or "")
        )


async def test_sigterm_ends_streams_cleanly_and_the_process_within_a_second(
    free_port: int, gpus: FakeGpus
) -> None:
    async with sidecar(free_port, "--engine", "none") as running:

        async def initialised() -> bool:
            return gpus.log_path.exists()

        await until(initialised)
        (child,) = running.tree.children()
        async with running.http.get(f"{running.url}/v1/stream") as answer:
            await answer.content.readline()
            ending = asyncio.create_task(stop(running))
            await asyncio.wait_for(answer.content.read(), 5)  # a cut would raise
            assert await ending < 1.0
        assert not child.is_running()
    assert gpus.log_path.read_text().splitlines()[-1] == f"shutdown {child.pid}"


async def test_sigterm_ends_it_within_a_second_also_while_the_driver_hangs(
    free_port: int, gpus: FakeGpus
) -> None:
    gpus.hang(RATES)
    async with sidecar(free_port, "--engine", "none", "--gpu-timeout", "5s") as running:

        async def has_child() -> bool:
            return len(running.tree.children()) == 1

        await until(has_child)
        (child,) = running.tree.children()
        await asyncio.sleep(0.3)
        assert await stop(running) < 1.0
        assert not child.is_running()


async def test_a_port_in_use_is_a_clear_error_and_exit_1(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        code, said = await refused("--host", "127.0.0.1", "--port", str(free_port))
    assert code == 1
    last = json.loads(said.splitlines()[-1])
    assert last["level"] == "error"
    assert "another process uses it; choose another --port" in last["event"]
    assert "Traceback" not in said


async def test_bad_settings_are_all_said_and_exit_2() -> None:
    code, said = await refused("--port", "x", "--heartbeat", "y")
    assert code == 2
    assert "--port: 'x'" in said
    assert "--heartbeat: 'y'" in said
    assert "Traceback" not in said


async def refused(*argv: str) -> tuple[int | None, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", *argv, stderr=pipe
    )
    _, said = await asyncio.wait_for(process.communicate(), 10)
    return process.returncode, said.decode()


async def test_the_token_of_the_model_server_is_in_nothing_that_leaves_the_process(
    free_port: int, tmp_path: Path
) -> None:
    told, asked = "t0ken-0f-the-p0d", []

    async def page(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        return web.Response(status=401, text=told)

    app = web.Application()
    app.router.add_get("/metrics", page)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    token = tmp_path / "token"
    token.write_text(told)
    argv = ("--engine", "sglang", "--engine-url", str(server.make_url("/metrics")))
    async with sidecar(
        free_port, *argv, "--engine-token-file", str(token), "--log-level", "debug"
    ) as running:
        await running.wait_for(lambda frame: frame.engine and "401" in (frame.engine.why or ""))
        shown = [await running.text(path) for path in ("/v1/sample", "/metrics")]
        await stop(running)
        assert running.process.stderr is not None
        shown.append((await running.process.stderr.read()).decode())
    await server.close()
    assert asked[0] == f"Bearer {told}"
    assert [text for text in shown if told in text] == []
    assert str(token) in shown[-1]


async def test_a_request_that_is_no_http_is_refused_and_does_not_fill_the_log(
    free_port: int,
) -> None:
    async with sidecar(free_port, "--engine", "none") as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", free_port)
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.0 400 ")
        writer.close()
        await stop(running)
        assert {line["level"] for line in await running.log()} == {"info"}


async def test_the_environment_of_a_service_named_like_it_does_no_harm(free_port: int) -> None:
    links = {
        "FORESCALE_PORT": "tcp://10.0.0.1:80",
        "FORESCALE_SIDECAR_PORT": "tcp://10.0.0.2:9401",
        "FORESCALE_SIDECAR_SERVICE_HOST": "10.0.0.2",
    }
    async with sidecar(free_port, **links) as running:
        await stop(running)
        said = await running.log()
    assert said[0]["port"] == free_port
    assert [line for line in said if line["level"] != "info"] == []


async def test_the_process_tree_stays_within_its_memory(
    free_port: int, gpus: FakeGpus, faults: str
) -> None:
    argv = ("--engine-url", f"{faults}/good", "--gpu-uuids", ",".join(gpus.uuids))
    async with sidecar(free_port, *argv, "--gpu-period", "1s") as running:
        answer = await running.http.get(f"{running.url}/v1/stream")
        await running.wait_for(lambda frame: busy(frame) is not None)
        await answer.content.readline()
        async with running.http.get(f"{running.url}/metrics") as metrics:
            await metrics.read()
        tree = [running.tree, *running.tree.children()]
        sizes = [process.memory_full_info() for process in tree]
        answer.close()
    assert sizes[0].rss <= 45 * MIB
    assert sum(size.pss for size in sizes) <= 60 * MIB
