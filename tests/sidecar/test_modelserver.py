"""Owns the proof of what each kind of answer, or none, means for the model server's state."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from adapter.intake.frames import MAX_WHY_CHARACTERS
from sidecar import fetch, modelserver, search
from sidecar.modelserver import EngineRead, ModelServer
from sidecar.settings import load
from sidecar.wire import EngineState
from tests.fakes.bad_pages import _page


def model_server(http: aiohttp.ClientSession, *argv: str) -> ModelServer:
    return ModelServer(load(argv, {}, "0").settings, http)


async def read(url: str, engine: str = "vllm", timeout_seconds: float = 0.5) -> EngineRead:
    async with fetch.session(timeout_seconds) as http:
        return await model_server(http, "--engine", engine, "--engine-url", url).read()


class Scripted:
    """A server whose next answer the test chooses; it keeps what it was asked with."""

    def __init__(self) -> None:
        self.answer = web.Response(text=_page("1.0"))
        self.asked: list[web.Request] = []
        self.slow_seconds = 0.0
        self.fault = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.fault == "breaks off":
            assert request.transport is not None
            request.transport.close()
        await asyncio.sleep(1.0 if self.fault == "slow" else self.slow_seconds)
        if self.fault == "errors":
            return web.Response(status=503)
        text, status = self.answer.text or "", self.answer.status
        return web.Response(text=text, status=status)


@asynccontextmanager
async def scripted(port: int | None = None) -> AsyncIterator[tuple[Scripted, TestServer]]:
    script = Scripted()
    app = web.Application()
    app.router.add_get("/metrics", script.handle)
    server = TestServer(app, port=port)
    await server.start_server(shutdown_timeout=0.1)
    try:
        yield script, server
    finally:
        await server.close()


async def test_a_good_page_is_a_reading_with_its_duration(faults: str) -> None:
    found = await read(f"{faults}/good")
    assert found.reading.state is EngineState.READY
    assert (found.reading.pending, found.reading.running) == (1.0, 2.0)
    assert found.seconds is not None


@pytest.mark.parametrize("path", ["nan", "inf", "negative", "huge", "words", "labels"])
async def test_a_page_with_an_unusable_figure_is_read_without_it(faults: str, path: str) -> None:
    found = await read(f"{faults}/{path}", timeout_seconds=5)
    assert found.reading.state is EngineState.READY
    assert (found.reading.pending, found.reading.running) == (None, 2.0)
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("ten_mb", "is longer than 2097152 bytes"),
        ("endless", "is longer than 2097152 bytes"),
        ("trickle", "did not answer in time"),
        ("silent", "did not answer in time"),
        ("bomb", "answers compressed"),
        ("broken", "answers 500"),
        ("other", "has none of the metric names of vllm"),
    ],
)
async def test_a_page_that_cannot_be_had_is_loading_with_the_reason(
    faults: str, path: str, why: str
) -> None:
    in_time = "in time" in why
    began = time.monotonic()
    found = await read(f"{faults}/{path}", timeout_seconds=0.5 if in_time else 10)
    assert found.reading.state is EngineState.LOADING
    assert found.reading.why is not None
    assert why in found.reading.why
    assert found.seconds is None
    assert time.monotonic() - began < (2 if in_time else 10)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("redirect", "redirects, which is not followed"),
        ("missing", "answers 404: vLLM serves /metrics on its API port by default"),
    ],
)
async def test_a_server_that_is_up_without_the_page_is_no_loading_model(
    faults: str, path: str, why: str
) -> None:
    found = await read(f"{faults}/{path}")
    assert found.reading.state is EngineState.FAILING
    assert why in (found.reading.why or "")


async def test_tritons_404_names_its_flag(faults: str) -> None:
    found = await read(f"{faults}/missing", "triton")
    assert found.reading.why is not None
    assert "--allow-metrics=true" in found.reading.why
    assert "8002" in found.reading.why


async def test_a_refused_connection_is_loading_with_the_reason(free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}/metrics"
    found = await read(url)
    assert found.reading.state is EngineState.LOADING
    assert found.reading.why == f"{url} refuses connections"
    assert found.failure == "no_server"


async def test_a_server_that_ended_is_loading_again_until_it_answers_anew(free_port: int) -> None:
    states = []
    async with fetch.session(1) as http:
        known = model_server(http, "--engine-url", f"http://127.0.0.1:{free_port}/metrics")
        async with scripted(free_port) as (script, _):
            states.append((await known.read()).reading.state)
            script.answer = web.Response(status=503)
            states.append((await known.read()).reading.state)
        gone = await known.read()
        async with scripted(free_port) as (script, _):
            script.answer = web.Response(status=503)
            states.append((await known.read()).reading.state)
            script.answer = web.Response(text=_page("1.0"))
            states.append((await known.read()).reading.state)
    assert (gone.reading.state, gone.reading.kind) == (EngineState.LOADING, "vllm")
    assert gone.reading.pending is None
    assert states == [
        EngineState.READY,
        EngineState.FAILING,
        EngineState.LOADING,  # it listens again, and has not answered in its new life
        EngineState.READY,
    ]


@pytest.mark.parametrize("fault", ["slow", "errors", "breaks off"])
async def test_a_server_that_answered_and_is_still_there_is_failing_not_loading(
    fault: str,
) -> None:
    async with fetch.session(0.3) as http, scripted() as (script, server):
        known = model_server(http, "--engine-url", str(server.make_url("/metrics")))
        assert (await known.read()).reading.state is EngineState.READY
        script.fault = fault
        found = await known.read()
    assert found.reading.state is EngineState.FAILING
    assert (found.taken_at, found.seconds) == (None, None)
    assert found.failure == {"slow": "timeout", "errors": "status"}.get(fault, "broken_off")


async def test_a_full_accept_queue_is_overload_and_no_restart() -> None:
    """What a process too busy to accept looks like: the connection waits and is not refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        async with fetch.session(0.3) as http:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
            known = model_server(http, "--engine", "vllm", "--engine-url", url)
            known._answered = True
            found = await known.read()
        for filler in fillers:
            filler.close()
    assert (found.reading.state, found.failure) == (EngineState.FAILING, "timeout")


async def test_a_reading_is_as_old_as_its_question() -> None:
    async with fetch.session(5) as http, scripted() as (script, server):
        known = model_server(http, "--engine-url", str(server.make_url("/metrics")))
        script.slow_seconds = 0.4
        began = time.monotonic()
        found = await known.read()
    assert found.taken_at is not None
    assert found.taken_at - began < 0.2
    assert found.seconds is not None
    assert found.seconds >= 0.4


async def test_with_the_default_timeout_a_page_of_1300_ms_is_a_reading() -> None:
    timeout_seconds = load([], {}, "0").settings.engine_timeout_seconds
    async with fetch.session(timeout_seconds) as http, scripted() as (script, server):
        script.slow_seconds = 1.3
        known = model_server(http, "--engine-url", str(server.make_url("/metrics")))
        found = await known.read()
    assert (found.reading.state, found.reading.pending) == (EngineState.READY, 1.0)


async def test_without_a_model_server_there_is_none_and_nothing_is_asked() -> None:
    async with fetch.session(1) as http:
        found = await model_server(http, "--engine", "none").read()
    assert found.reading.state is EngineState.NONE
    assert found.reading.why == "no model server is configured (--engine none)"


async def test_auto_on_a_page_that_no_row_knows_is_no_model_server(faults: str) -> None:
    found = await read(f"{faults}/other", "auto")
    assert found.reading.state is EngineState.NONE
    assert found.reading.why is not None
    assert "has none of the metric names of any known engine" in found.reading.why


HOSTS = itertools.count()


@asynccontextmanager
async def at_engines_ports(**pages: str | int) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve pages at `p<port>_<path>`, `/` written as `__`, at an address of this test's own.

    A text is a page, a number a status, `json` a list of records. Yields the address and what is
    asked for; all other ports refuse.
    """
    host = f"127.{os.getpid() % 200 + 2}.{next(HOSTS) % 250}.{os.getpid() // 200 % 250 + 2}"
    asked: list[str] = []
    apps: dict[int, web.Application] = {}

    def handler(name: str, page: str | int) -> Handler:
        async def handle(_: web.Request) -> web.StreamResponse:
            asked.append(name)
            if page == "json":
                return web.json_response([{"iter": 1}])
            return web.Response(text=page) if isinstance(page, str) else web.Response(status=page)

        return handle

    for name, page in pages.items():
        port, _, path = name.removeprefix("p").partition("_")
        app = apps.setdefault(int(port), web.Application())
        app.router.add_get("/" + path.replace("__", "/"), handler(name, page))
    runners = [(port, web.AppRunner(app, shutdown_timeout=0.1)) for port, app in apps.items()]
    for port, runner in runners:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
    try:
        yield host, asked
    finally:
        for _, runner in runners:
            await runner.cleanup()


@asynccontextmanager
async def at_port(host: str, port: int, page: str) -> AsyncIterator[None]:
    """Serve one page at `/metrics` from now on."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(text=page)

    app = web.Application()
    app.router.add_get("/metrics", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def searching(http: aiohttp.ClientSession, host: str, clock: Clock) -> ModelServer:
    return ModelServer(load([], {}, "0").settings, http, clock, search.anywhere(host))


def fixture(name: str) -> str:
    return (Path(__file__).parent / "pages" / f"{name}.txt").read_text()


@pytest.mark.parametrize(
    ("where", "name", "kind"),
    [
        ("p8000_metrics", "vllm_0_29", "vllm"),
        ("p30000_metrics", "sglang_0_5", "sglang"),
        ("p3000_metrics", "tgi_3", "tgi"),
        ("p80_metrics", "tgi_3", "tgi"),
        ("p8000_prometheus__metrics", "trtllm_1_3", "trtllm"),
        ("p8000_prometheus__metrics", "trtllm_1_1", "trtllm"),
        ("p8002_metrics", "triton_captured", "triton"),
        ("p8002_metrics", "triton-trtllm_readme", "triton-trtllm"),
        ("p8002_metrics", "vllm_0_29", "vllm"),  # Triton's vLLM backend
        ("p8080_metrics", "llama.cpp_readme", "llama.cpp"),
        ("p8080_metrics", "ray_underscore", "ray"),
        ("p8080_metrics", "ray-serve_replica", "ray-serve"),
        ("p8080_metrics", "vllm_0_29", "vllm"),  # KServe's server with vLLM
        ("p23333_metrics", "lmdeploy_newer", "lmdeploy"),
        ("p8000_v1__metrics", "nim_1_14", "nim"),
        ("p8000_metrics", "dynamo_1_5", "dynamo"),
        ("p8081_metrics", "sglang_0_5", "sglang"),  # a Dynamo worker
        ("p8000_metrics", "own_seed", "own"),
    ],
)
async def test_auto_finds_the_engine_at_its_port_and_stays_there(
    where: str, name: str, kind: str
) -> None:
    clock = Clock()
    async with (
        at_engines_ports(**{where: fixture(name)}) as (host, asked),
        fetch.session(2) as http,
    ):
        known = searching(http, host, clock)
        found = await known.read()
        again = await known.read()
    assert (found.reading.kind, found.reading.state) == (kind, EngineState.READY)
    path = where.partition("_")[2].replace("__", "/")
    assert found.url == f"http://{host}:{where[1:].partition('_')[0]}/{path}"
    assert again.reading == found.reading
    assert asked == [where, where]


async def test_auto_where_nothing_listens_is_loading_and_names_the_ports() -> None:
    async with at_engines_ports() as (host, _), fetch.session(2) as http:
        found = await searching(http, host, Clock()).read()
    assert (found.reading.kind, found.reading.state) == ("none", EngineState.LOADING)
    assert found.failure == "no_server"
    assert found.reading.why is not None
    assert found.reading.why.startswith("nothing listens where an engine would: ")
    assert f"{host}:8000, " in found.reading.why
    assert len(found.reading.why) < 300


@pytest.mark.parametrize(
    ("where", "status", "flag"),
    [
        ("p30000_metrics", 404, "--enable-metrics"),
        ("p8080_metrics", 501, "--metrics"),
        ("p8002_metrics", 404, "--allow-metrics=true"),
    ],
)
async def test_auto_beside_an_engine_without_its_page_says_the_missing_flag(
    where: str, status: int, flag: str
) -> None:
    async with at_engines_ports(**{where: status}) as (host, _), fetch.session(2) as http:
        found = await searching(http, host, Clock()).read()
    assert (found.reading.state, found.failure) == (EngineState.NONE, "no_page")
    assert flag in (found.reading.why or "")


TRITON_READY = "p8000_v2__health__ready"


async def test_a_ready_triton_with_a_closed_metrics_port_says_its_flag_and_is_not_loading() -> None:
    async with at_engines_ports(**{TRITON_READY: ""}) as (host, _), fetch.session(2) as http:
        url = f"http://{host}:8002/metrics"
        found = await model_server(http, "--engine", "triton", "--engine-url", url).read()
        searched = await searching(http, host, Clock()).read()
    said = (
        f"{url} refuses connections, yet the server is ready: Triton serves /metrics on port 8002"
    )
    for read, state in ((found, EngineState.FAILING), (searched, EngineState.NONE)):
        why = read.reading.why or ""
        assert (read.reading.state, read.failure) == (state, "no_page")
        assert why.startswith(said)
        assert "--allow-metrics=true" in why[:MAX_WHY_CHARACTERS]
        assert "--metrics-port" in why[:MAX_WHY_CHARACTERS]


async def test_a_triton_that_still_loads_its_models_is_loading() -> None:
    async with at_engines_ports(**{TRITON_READY: 400}) as (host, _), fetch.session(2) as http:
        url = f"http://{host}:8002/metrics"
        found = await model_server(http, "--engine", "triton", "--engine-url", url).read()
    assert (found.reading.state, found.failure) == (EngineState.LOADING, "no_server")


async def test_a_ready_server_whose_page_has_no_known_name_says_what_the_page_needs() -> None:
    pages = {"p8000_prometheus__metrics": "python_gc_objects_total 1\n", "p8000_health": ""}
    async with at_engines_ports(**pages) as (host, _), fetch.session(2) as http:
        url = f"http://{host}:8000/prometheus/metrics"
        found = await model_server(http, "--engine", "trtllm", "--engine-url", url).read()
    assert (found.reading.state, found.failure) == (EngineState.FAILING, "no_page")
    assert "return_perf_metrics: true" in (found.reading.why or "")


@pytest.mark.parametrize(
    ("says", "asked_in_20_seconds"), [(400, 20 / modelserver.UNREADY_SECONDS), ("", 20)]
)
async def test_while_a_model_loads_readiness_is_asked_rarely_and_the_page_at_each_tick(
    says: str | int, asked_in_20_seconds: float
) -> None:
    clock = Clock()
    async with at_engines_ports(**{TRITON_READY: says}) as (host, asked), fetch.session(2) as http:
        known = triton_without_page(http, host, clock)
        for _ in range(20):
            await known.read()
            clock.now += 1.0
        assert len(asked) == asked_in_20_seconds
        async with at_port(host, 8002, fixture("triton_captured")):
            found = await known.read()
    assert (found.reading.state, found.reading.pending) == (EngineState.READY, 19.0)


async def test_a_ready_triton_without_its_page_that_ends_is_at_once_what_starts_anew() -> None:
    clock = Clock()
    async with fetch.session(2) as http:
        async with at_engines_ports(**{TRITON_READY: ""}) as (host, _):
            known = triton_without_page(http, host, clock)
            assert (await known.read()).reading.state is EngineState.FAILING
        clock.now += 1.0
        ended = await known.read()
    assert (ended.reading.state, ended.failure) == (EngineState.LOADING, "no_server")


def triton_without_page(http: aiohttp.ClientSession, host: str, clock: Clock) -> ModelServer:
    flags = ["--engine", "triton", "--engine-url", f"http://{host}:8002/metrics"]
    return ModelServer(load(flags, {}, "0").settings, http, clock)


async def test_auto_offers_ollamas_estimate_by_name_and_does_not_take_it() -> None:
    async with at_engines_ports(p11434_="Ollama is running") as (host, _), fetch.session(2) as http:
        found = await searching(http, host, Clock()).read()
    assert (found.reading.kind, found.reading.state) == ("none", EngineState.NONE)
    assert found.reading.pending is None
    assert "`--engine ollama` estimates its queue" in (found.reading.why or "")


async def test_auto_offers_the_connections_for_a_page_without_a_queue() -> None:
    kserve = "# TYPE request_predict_seconds histogram\nrequest_predict_seconds_count 3\n"
    async with at_engines_ports(p8080_metrics=kserve) as (host, _), fetch.session(2) as http:
        found = await searching(http, host, Clock()).read()
    assert (found.reading.kind, found.reading.state) == ("none", EngineState.NONE)
    offer = "`--engine connections --engine-port 8080` estimates its queue"
    assert offer in (found.reading.why or "")[:MAX_WHY_CHARACTERS]


@pytest.mark.parametrize(
    ("argv", "state"), [((), EngineState.NONE), (("--engine", "vllm"), EngineState.FAILING)]
)
async def test_a_server_that_wants_a_token_is_up_and_says_the_setting(
    argv: tuple[str, ...], state: EngineState
) -> None:
    async with at_engines_ports(p8000_metrics=401) as (host, _), fetch.session(2) as http:
        url = f"http://{host}:8000/metrics"
        found = await model_server(http, *argv, "--engine-url", url).read()
    assert (found.reading.state, found.failure) == (state, "unauthorized")
    assert "--engine-token-file" in (found.reading.why or "")


async def test_a_foreign_server_is_asked_again_only_after_a_while_and_json_later_still() -> None:
    clock = Clock()
    pages = {"p8000_metrics": "json", "p8080_metrics": "other 1\n"}
    async with at_engines_ports(**pages) as (host, asked), fetch.session(2) as http:
        known = searching(http, host, clock)
        states = set()
        for _ in range(120):
            states.add((await known.read()).reading.state)
            clock.now += 1.0
    assert states == {EngineState.NONE}
    assert asked.count("p8080_metrics") == 120 / modelserver.FOREIGN_SECONDS
    assert asked.count("p8000_metrics") == 120 / modelserver.JSON_SECONDS


@pytest.mark.parametrize("page", ["", "# HELP python_info x\n# TYPE python_info gauge\n"])
async def test_records_beside_a_metrics_page_that_is_not_filled_yet_are_left_to_their_reader(
    page: str,
) -> None:
    pages = {"p8000_prometheus__metrics": page, "p8000_metrics": "json"}
    async with at_engines_ports(**pages) as (host, asked), fetch.session(2) as http:
        known = searching(http, host, clock := Clock())
        for _ in range(3):
            assert (await known.read()).reading.state is EngineState.NONE
            clock.now += modelserver.JSON_SECONDS
    assert set(asked) == {"p8000_prometheus__metrics"}


async def test_a_model_that_starts_beside_a_foreign_server_is_found_at_the_next_tick() -> None:
    clock = Clock()
    app = web.Application()
    app.router.add_get("/metrics", Scripted().handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    async with at_engines_ports(p8080_metrics="other 1\n") as (host, _), fetch.session(2) as http:
        known = searching(http, host, clock)
        assert (await known.read()).reading.state is EngineState.NONE
        await web.TCPSite(runner, host, 8000).start()
        clock.now += 1.0
        assert (await known.read()).reading.kind == "vllm"
    await runner.cleanup()


async def test_a_name_of_an_engine_on_anothers_page_calls_no_model_ready() -> None:
    clock = Clock()
    app = web.Application()
    app.router.add_get("/metrics", Scripted().handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    gateway = "request_success_total 7\n"  # a name of an engine, on a page of something else
    async with at_engines_ports(p8080_metrics=gateway) as (host, _), fetch.session(2) as http:
        known = searching(http, host, clock)
        before = await known.read()
        await web.TCPSite(runner, host, 8081).start()
        clock.now += 1.0
        after = await known.read()
    await runner.cleanup()
    assert (before.reading.state, before.reading.finished_total) == (EngineState.NONE, None)
    assert (after.reading.kind, after.reading.pending) == ("vllm", 1.0)


async def test_a_server_that_is_loading_is_not_asked_for_its_other_pages() -> None:
    pages = {"p8000_prometheus__metrics": 503, "p8000_metrics": 503}
    async with at_engines_ports(**pages) as (host, asked), fetch.session(2) as http:
        found = await searching(http, host, Clock()).read()
    assert (found.reading.state, found.failure) == (EngineState.LOADING, "status")
    assert asked == ["p8000_prometheus__metrics"]


async def test_what_the_page_lacks_comes_with_the_reading() -> None:
    page = "llm_inference_pending_requests 5\n"
    async with at_engines_ports(p8000_metrics=page) as (host, _), fetch.session(2) as http:
        found = await searching(http, host, Clock()).read()
    assert found.absent[0] == "running (llm_inference_running_requests)"


async def test_the_page_is_asked_for_plainly_and_past_any_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with scripted() as (script, server):
        found = await read(str(server.make_url("/metrics")))
    assert found.reading.state is EngineState.READY
    headers = script.asked[0].headers
    assert headers["Accept"] == "text/plain;version=0.0.4"
    assert headers["Accept-Encoding"] == "identity"


async def test_a_connection_that_breaks_off_in_the_page_is_said() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nvllm:")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await read(f"http://127.0.0.1:{port}/metrics")
    assert found.reading.why is not None
    assert "broke off" in found.reading.why
