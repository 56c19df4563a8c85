"""Owns the proof of when our metrics are sent by OTLP, and what a receiver gets that we do not."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar import otlp
from tests.controlplane.processes import free_ports
from tests.fakes.otlp import Receiver

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "llm", otlp.INTERVAL: "1000"}, False),
        ({ENDPOINT: " "}, False),
        ({ENDPOINT: "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "True"}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_METRICS_EXPORTER": "none"}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_METRICS_EXPORTER": "console,otlp"}, True),
    ],
)
def test_it_is_asked_for_by_an_endpoint_alone(environ: Mapping[str, str], *, asked: bool) -> None:
    assert otlp.asked(environ) is asked


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 60.0), ("5000", 5.0), ("soon", 60.0), ("0", 60.0), ("inf", 60.0)]
)
def test_the_interval_is_milliseconds_and_what_is_none_is_the_default(
    text: str, seconds: float
) -> None:
    assert otlp.interval_seconds({otlp.INTERVAL: text}) == seconds


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


@asynccontextmanager
async def exporting(
    monkeypatch: pytest.MonkeyPatch, **environ: str
) -> AsyncIterator[tuple[Counter, list[str], asyncio.Task[None]]]:
    """Run it over a registry with one counter; yield that, what it tells, and its task."""
    for name, value in environ.items():  # the SDK reads the process's own
        monkeypatch.setenv(name, value)
    registry, told = CollectorRegistry(), list[str]()
    counter = Counter("frames", "Frames.", registry=registry)
    task = asyncio.create_task(
        otlp.run(registry, service="test", version="1", environ=environ, tell=told.append)
    )
    yield counter, told, task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_receiver_gets_the_present_figures_each_interval_with_the_headers_asked_for(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {ENDPOINT: receiver.url, otlp.INTERVAL: "100"}
    environ |= {"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a"}
    environ |= {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    async with exporting(monkeypatch, **environ) as (counter, told, _):
        counter.inc(2)

        def counted() -> set[float]:
            return {one["frames"].sum.data_points[0].as_double for one in receiver.seen}

        await until(lambda: 2.0 in counted())
        counter.inc()
        await until(lambda: 3.0 in counted())
    assert told == []
    assert receiver.headers[0]["x-tenant"] == "a"
    assert receiver.resources[0]["service.instance.id"] == socket.gethostname()


async def test_a_receiver_that_refuses_is_told_once_and_tried_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = 400
    environ = {ENDPOINT: receiver.url, otlp.INTERVAL: "100"}
    async with exporting(monkeypatch, **environ) as (_, told, _task):
        await until(lambda: len(receiver.seen) >= 3)
        receiver.answer = 200
        before = len(receiver.seen)
        await until(lambda: len(receiver.seen) > before + 1)
    (words,) = told
    assert words.startswith("metrics cannot be sent: ")
    assert "400" in words
    assert caplog.records == []  # the exporter's own lines, one a try


async def test_a_receiver_that_does_not_answer_holds_up_no_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with exporting(monkeypatch, **{ENDPOINT: url, otlp.INTERVAL: "100"}) as (*_, task):
            connection, _ = await asyncio.to_thread(silent.accept)
            began = time.monotonic()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert time.monotonic() - began < 1.0
            connection.close()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "is grpc: only http/protobuf is spoken here"),
        ({"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"}, "is http/json: only http/protobuf"),
    ],
)
async def test_what_cannot_be_done_is_told_and_ends_in_peace(
    environ: Mapping[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = {ENDPOINT: "http://127.0.0.1:9"}
    async with exporting(monkeypatch, **endpoint, **environ) as (_, told, task):
        async with asyncio.timeout(10):
            await task
        assert [words in one for one in told] == [True], told


class Broken(Collector):
    """Cannot be read at first."""

    times = 2

    def collect(self) -> Iterator[Metric]:
        self.times -= 1
        if self.times >= 0:
            raise LookupError("not yet")
        yield GaugeMetricFamily("level", "Level.", value=1.0)


async def test_a_registry_that_cannot_be_read_is_told_and_read_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, receiver.url)
    registry, told = CollectorRegistry(auto_describe=False), list[str]()
    registry.register(Broken())
    environ = {ENDPOINT: receiver.url, otlp.INTERVAL: "100"}
    running = otlp.run(registry, service="test", version="1", environ=environ, tell=told.append)
    task = asyncio.create_task(running)
    await until(lambda: any("level" in one for one in receiver.seen))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told == ["metrics cannot be sent: LookupError: not yet"]


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sidecar.points", None)
    async with exporting(monkeypatch, **{ENDPOINT: "http://127.0.0.1:9"}) as (_, told, task):
        await task
    assert told == ["opentelemetry is missing: pip install 'forescale[otel]'"]


@pytest.mark.process
@pytest.mark.parametrize("program", ["sidecar", "adapter"])
async def test_both_programs_send_what_their_own_page_has(
    program: str, receiver: Receiver, tmp_path: Path
) -> None:
    first, second = free_ports(2)
    command = {
        "sidecar": ["--port", str(first), "--engine", "none"],
        "adapter": ["--standalone", str(tmp_path), "--api-host=127.0.0.1", f"--api-port={second}"],
    }[program]
    if program == "adapter":
        command += ["--ops-host=127.0.0.1", f"--ops-port={first}"]
    environ = os.environ | {ENDPOINT: receiver.url, otlp.INTERVAL: "200"}
    environ["FORESCALE_REVISION"] = "0123abc"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", program, *command, env=environ, stderr=subprocess.DEVNULL
    )
    try:
        build = f"forescale_{program}_build_info"
        await until(lambda: any(build in one for one in receiver.seen), 30.0)
        assert receiver.resources[-1]["service.name"] == f"forescale-{program}"
        (point,) = receiver.seen[-1][build].gauge.data_points
        assert point.as_double == 1.0
        assert {one.key: one.value.string_value for one in point.attributes} == {
            "version": version("forescale"),
            "revision": "0123abc",
            "python_version": platform.python_version(),
        }
        assert len(receiver.seen[-1]) > 5
    finally:
        process.terminate()
        began = time.monotonic()
        assert await process.wait() == 0
        assert time.monotonic() - began < 5.0


@pytest.mark.process
def test_opentelemetry_is_loaded_by_nobody_who_is_not_asked_for_it() -> None:
    script = (
        "import sys, adapter.__main__, sidecar.__main__;"
        " assert not [one for one in sys.modules if one.startswith('opentelemetry')]"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 0


@pytest.mark.process
def test_an_environment_that_the_library_cannot_read_ends_nothing() -> None:
    code = (
        "import asyncio, os\n"
        "from prometheus_client import CollectorRegistry\n"
        "from sidecar import otlp\n"
        "asyncio.run(otlp.run(CollectorRegistry(), service='s', version='1', environ=os.environ,"
        " tell=print))\n"
    )
    odd = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=os.environ | odd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("metrics cannot be sent: ValueError: ")
