"""The demo's parts: its trace, its pods, its load balancer, its questions and its picture."""

from __future__ import annotations

import asyncio
import csv
import fcntl
import io
import itertools
import os
import pty
import random
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapter.cli import demo_fakes, demo_hpa, demo_pod, demo_trace
from adapter.cli.demo_load import Balancer
from adapter.cli.demo_pod import Pod
from adapter.cli.demo_query import Adapter, p99
from adapter.cli.demo_replica import Replica
from adapter.cli.demo_screen import Live, Log, choose
from adapter.cli.demo_view import Paint, Row, Scene, picture, plain
from adapter.cli.demo_watch import state
from adapter.errors import SettingsError, StartupError
from adapter.intake import podjson
from adapter.model.fleet import Owner, Standing


class TestTrace:
    def test_it_holds_every_request_of_its_source(self) -> None:
        counts = demo_trace.load()
        assert sum(counts.values()) == 8_819
        assert max(counts) == demo_trace.SPAN_SECONDS - 1
        assert all(count > 0 for count in counts.values())

    def test_the_file_says_where_it_is_from_and_under_which_licence(self) -> None:
        path = Path(demo_trace.__file__).with_name("demo_trace.csv")
        lines = path.read_text(encoding="utf-8").splitlines()
        head = " ".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
        for word in ("Microsoft", "AzurePublicDataset", "CC BY 4.0", "Changed:"):
            assert word in head
        rows = csv.reader(line for line in lines if not line.startswith("#"))
        assert next(rows) == ["t", "requests"]

    @given(st.floats(0.5, 20), st.integers(0, 3_436), st.integers(0, 9))
    def test_arrivals_are_the_trace_faster_and_in_order(
        self, speed: float, start: int, seed: int
    ) -> None:
        counts = {0: 2, 7: 3, 500: 1, 3_436: 4}
        times = demo_trace.arrivals(counts, start_seconds=start, speed=speed, seed=seed)
        turn = list(itertools.islice(times, 10))
        assert turn == sorted(turn)
        seconds = sorted((start + int(at * speed + 1e-9)) % 3_437 for at in turn)
        assert seconds == [0, 0, 7, 7, 7, 500, 3_436, 3_436, 3_436, 3_436]
        assert next(times) > turn[-1]  # it begins anew

    def test_the_same_seed_draws_the_same_arrivals(self) -> None:
        def first(seed: int) -> list[float]:
            times = demo_trace.arrivals(demo_trace.load(), start_seconds=500, speed=5, seed=seed)
            return list(itertools.islice(times, 50))

        assert first(1) == first(1)
        assert first(1) != first(2)


DICE = random.Random(1)  # noqa: S311 - names of pods


@asynccontextmanager
async def served(
    method: str, path: str, handler: Callable[[web.Request], Awaitable[web.Response]]
) -> AsyncIterator[str]:
    """A real HTTP server on loopback; yields its URL."""
    app = web.Application()
    app.router.add_route(method, path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def pod(**fields: object) -> Pod:
    made = demo_pod.new("llm", "127.9.9.1", DICE, now=1_000.0)
    return msgspec.structs.replace(made, **fields)


class TestPod:
    def read(self, found: Pod) -> Any:
        parents = {("default", "llm-6d5f7c9b84"): Owner("Deployment", "llm")}
        return podjson.with_parent(podjson.pod(demo_pod.as_json(found)), parents)

    def test_the_adapter_reads_its_address_its_owner_and_its_labels(self) -> None:
        found = self.read(pod(phase="Running", started_at=1_001.5))
        assert (found.ip, found.port) == ("127.9.9.1", 9_401)
        assert Owner("Deployment", "llm") in found.owners
        assert found.labels["app"] == "llm-inference"
        assert found.labels["forescale.dev/source"] == "sidecar"

    @pytest.mark.parametrize(
        ("fields", "standing", "words"),
        [
            ({}, Standing.WAITING, "pending"),
            ({"phase": "Running", "started_at": 1_001.5}, Standing.LOADING, "loading for 8 s"),
            (
                {"phase": "Running", "started_at": 1_001.5, "ready_at": 1_005.0},
                Standing.SERVING,
                "ready",
            ),
            (
                {
                    "phase": "Running",
                    "started_at": 1_001.5,
                    "ready_at": 1_005.0,
                    "ending_at": 1_007.0,
                },
                Standing.ENDED,
                "ending for 3 s",
            ),
        ],
    )
    def test_each_step_of_its_life_is_read_as_what_it_is(
        self, fields: dict[str, object], standing: Standing, words: str
    ) -> None:
        found = pod(**fields)
        assert self.read(found).standing() is standing
        assert state(found, 1_010.0, heard=True) == words
        assert found.serving is (standing is Standing.SERVING)

    def test_a_ready_pod_without_a_reading_says_so(self) -> None:
        found = pod(phase="Running", started_at=1_001.0, ready_at=1_002.0)
        assert state(found, 1_003.0, heard=False) == "ready, no reading yet"


class TestBalancer:
    def replica(self, session: aiohttp.ClientSession, url: str, *, ready: bool) -> Replica:
        fakes = demo_fakes.Fakes(Path(), cast("Any", None))
        made = Replica(
            pod(ready_at=1.0 if ready else None),
            fakes=fakes,
            logs=Path(),
            pods=Path(),
            session=session,
        )
        made.url = url
        return made

    async def test_each_request_goes_to_the_ready_pod_that_has_the_fewest(self) -> None:
        seen = []

        async def complete(request: web.Request) -> web.Response:
            seen.append((await request.json())["prompt"])
            await asyncio.sleep(0.2)
            return web.json_response({})

        async with (
            served("POST", "/v1/completions", complete) as url,
            aiohttp.ClientSession() as session,
        ):
            busy = self.replica(session, "http://127.0.0.1:9", ready=True)
            loading = self.replica(session, "http://127.0.0.1:9", ready=False)
            free = self.replica(session, url, ready=True)
            for _ in range(5):
                busy.take()
            balancer = Balancer(lambda: [busy, loading, free], session)
            async with asyncio.TaskGroup() as group:
                await balancer.play(iter([0.0, 0.0, 0.01]), group)
        assert len(seen) == 3
        assert (balancer.sent, balancer.served, balancer.failed) == (3, 3, 0)
        assert (busy.outstanding, loading.outstanding, free.outstanding) == (5, 0, 0)

    async def test_without_a_ready_pod_a_request_fails_as_a_service_without_endpoints(
        self,
    ) -> None:
        async with aiohttp.ClientSession() as session:
            balancer = Balancer(list, session)
            async with asyncio.TaskGroup() as group:
                await balancer.play(iter([0.0]), group)
            assert (balancer.sent, balancer.failed) == (1, 1)
            now = asyncio.get_running_loop().time()
            assert balancer.rate(now) == pytest.approx(0.2)
            assert balancer.rate(now + 60) == 0


PAGE = """\
forescale_adapter_sample_age_seconds_bucket{le="0.5",part="engine"} 50.0
forescale_adapter_sample_age_seconds_bucket{le="1.0",part="engine"} 98.0
forescale_adapter_sample_age_seconds_bucket{le="2.0",part="engine"} 100.0
forescale_adapter_sample_age_seconds_bucket{le="+Inf",part="engine"} 100.0
forescale_adapter_sample_age_seconds_bucket{le="0.5",part="gpu"} 1.0
forescale_adapter_sample_age_seconds_bucket{le="+Inf",part="gpu"} 9.0
"""


class TestQuery:
    def test_the_99th_percentile_lies_on_a_line_within_its_bucket(self) -> None:
        assert p99(PAGE) == pytest.approx(1.5)

    def test_beyond_the_last_edge_the_answer_is_that_edge(self) -> None:
        assert p99(PAGE.replace('"+Inf",part="engine"} 100', '"+Inf",part="engine"} 200')) == 2.0

    def test_without_an_observation_there_is_no_percentile(self) -> None:
        assert p99("") is None
        assert (
            p99(PAGE.replace(" 50.0", " 0").replace(" 98.0", " 0").replace(" 100.0", " 0")) is None
        )

    async def ask(self, *, status: int, body: object, blind_ok: bool) -> tuple[Adapter, object]:
        seen: list[web.Request] = []

        async def answer(request: web.Request) -> web.Response:
            seen.append(request)
            return web.json_response(body, status=status)

        async with (
            served("GET", "/{tail:.*}", answer) as url,
            aiohttp.ClientSession() as session,
        ):
            adapter = Adapter(session, url, url, lambda: blind_ok)
            found = await adapter.values("llm_inference_pending_requests", "stat=raw")
        assert seen[0].raw_path == (
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/%2A"
            "/llm_inference_pending_requests"
            "?labelSelector=app%3Dllm-inference&metricLabelSelector=stat%3Draw"
        )
        return adapter, found

    async def test_an_answer_becomes_values_by_pod(self) -> None:
        item = {
            "describedObject": {"name": "a"},
            "timestamp": "2026-01-01T00:00:00Z",
            "value": "1500m",
        }
        adapter, found = await self.ask(status=200, body={"items": [item]}, blind_ok=False)
        assert isinstance(found, dict)
        assert found["a"].milli == 1_500
        assert (adapter.queries, adapter.errors, adapter.without_value) == (1, 0, 0)

    async def test_no_value_while_the_first_pods_load_is_counted_apart(self) -> None:
        adapter, found = await self.ask(status=503, body={"message": "loading"}, blind_ok=True)
        assert found == "loading"
        assert (adapter.errors, adapter.without_value) == (0, 1)

    @pytest.mark.parametrize(
        ("status", "body", "blind_ok"),
        [
            (503, {"message": "below quorum"}, False),
            (200, {"items": []}, False),
            (404, {"message": "no such metric"}, True),
            (500, "no status", True),
            (200, {"items": [{"value": "x"}]}, True),
        ],
    )
    async def test_any_other_answer_without_a_value_is_an_error(
        self, status: int, body: object, *, blind_ok: bool
    ) -> None:
        adapter, found = await self.ask(status=status, body=body, blind_ok=blind_ok)
        assert isinstance(found, str)
        assert (adapter.errors, adapter.without_value) == (1, 0)
        assert adapter.last_error == found


class TestAutoscalerManifest:
    def test_the_demos_own_manifest_is_usable(self) -> None:
        policy = demo_hpa.load(None)
        assert (policy.min_replicas, policy.max_replicas) == (1, 10)
        assert [(m.name, m.target_milli) for m in policy.metrics] == [
            ("llm_inference_pending_requests", 5_000),
            ("nvidia_gpu_utilization", 80_000),
        ]

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="cannot be read"):
            demo_hpa.load(str(tmp_path / "none.yaml"))

    def test_more_pods_than_this_machine_should_run_are_refused(self, tmp_path: Path) -> None:
        own = Path(demo_hpa.__file__).with_name("demo_hpa.yaml").read_text(encoding="utf-8")
        path = tmp_path / "hpa.yaml"
        path.write_text(own.replace("maxReplicas: 10", "maxReplicas: 200"), encoding="utf-8")
        with pytest.raises(SettingsError, match=r"spec\.maxReplicas is 200: use at most 20"):
            demo_hpa.load(str(path))


class TestFakes:
    def test_an_installed_package_says_in_one_line_that_it_needs_a_checkout(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(StartupError) as caught:
            demo_fakes.find(tmp_path)
        assert "runs from a source checkout" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_without_a_compiler_the_package_to_install_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(StartupError, match="apt-get install -y gcc") as caught:
            demo_fakes.find()
        assert "\n" not in str(caught.value)


def scene(rows: int, sentences: int = 3, **fields: Any) -> Scene:
    pods = [
        Row(
            name=f"llm-inference-deployment-6d5f7c9b84-{n:05}",
            state="ready",
            serving=True,
            gpu_percent=100,
            pending=1_234,
            running=4,
            age_seconds=1.4,
        )
        for n in range(rows)
    ]
    made = Scene(
        elapsed_seconds=61.5,
        total_seconds=180.0,
        trace=demo_trace.NAME,
        speed=5.0,
        rate=123.4,
        served=12_345,
        failed=3,
        rows=pods,
        autoscaler="llm-inference-hpa: asks every 3 s (a cluster: 15)",
        arithmetic=["llm_inference_pending_requests: 107.833 per pod / 5 = 21.57; " * 3]
        * sentences,
        replicas=10,
        max_replicas=10,
        history=[1, 4, 8, 10] * 40,
        age_p99_seconds=1.9,
        curl='curl "http://127.0.0.1:50000/apis/…"',
    )
    return msgspec.structs.replace(made, **fields)


def showing(rows: list[Row]) -> Scene:
    return msgspec.structs.replace(scene(0), rows=rows)


class TestPicture:
    @pytest.mark.parametrize("rows", [0, 1, 10, 25])
    def test_it_fits_a_screen_of_100_columns_and_30_lines(self, rows: int) -> None:
        lines = picture(scene(rows), Paint(colour=False))
        assert len(lines) + 1 <= 30  # the command takes two
        assert max(len(line) for line in lines[:-1]) <= 100
        assert lines[-1].startswith("curl ")

    def test_it_shows_the_load_the_pods_the_arithmetic_and_the_replicas(self) -> None:
        shown = "\n".join(picture(scene(2), Paint(colour=False)))
        assert "1:01 of 3:00" in shown
        assert "load 123.4 requests/s   12345 served, 3 failed" in shown
        assert "6d5f7c9b84-00001" in shown
        assert "107.833 per pod / 5 = 21.57" in shown
        assert "replicas  10 of 10  " in shown
        assert "▁▃▆█" in shown

    def test_a_figure_that_is_not_served_is_a_dash_and_never_a_zero(self) -> None:
        rows = [Row(name="pod", state="loading for 2 s", serving=False)]
        (line,) = [
            line for line in picture(showing(rows), Paint(colour=False)) if "loading" in line
        ]
        assert line.split("2 s")[1].split() == ["-", "-", "-", "-"]

    def test_more_pods_than_fit_are_counted(self) -> None:
        assert "and 14 more" in picture(scene(25), Paint(colour=False))

    def test_colours_can_be_left_out(self) -> None:
        assert "\x1b" in "".join(picture(scene(1), Paint(colour=True)))
        assert "\x1b" not in "".join(picture(scene(1), Paint(colour=False)))

    def test_the_plain_line_adds_up_what_is_known(self) -> None:
        rows = [
            Row(name="a", state="ready", serving=True, pending=2, running=3),
            Row(name="b", state="loading for 1 s", serving=False),
        ]
        assert plain(showing(rows)) == (
            "1:01  load 123.4/s  replicas 10 (1 ready)  pending 2  running 3"
        )


class TestScreen:
    def test_without_a_terminal_it_writes_a_line_every_few_seconds(self) -> None:
        out = io.StringIO()
        with choose(out, {}) as screen:
            assert isinstance(screen, Log)
            for second in range(11):
                screen.show(scene(1, elapsed_seconds=float(second)))
        lines = out.getvalue().splitlines()
        assert lines[0].startswith("ask it yourself, while this runs: curl ")
        assert [line.split()[0] for line in lines[1:]] == ["0:00", "0:05", "0:10"]
        assert "\x1b" not in out.getvalue()

    def test_a_change_of_replicas_is_told_at_once_with_its_arithmetic(self) -> None:
        out = io.StringIO()
        screen = choose(out, {})
        screen.show(scene(1, sentences=1, elapsed_seconds=0.0, replicas=1))
        screen.show(scene(1, sentences=1, elapsed_seconds=1.0, replicas=4))
        told = out.getvalue()
        assert "scaled 1 -> 4, since\n    llm_inference_pending_requests: 107.833" in told

    @pytest.mark.parametrize("height", [30, 24, 10, 1, 0])
    def test_a_terminal_is_drawn_in_place_and_given_back(self, height: int) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, 100, 0, 0))
        with open(slave, "w", encoding="utf-8") as terminal:  # noqa: PTH123 - a descriptor
            with choose(terminal, {"NO_COLOR": "1"}) as screen:
                assert isinstance(screen, Live)
                screen.show(scene(10))
            written = os.read(master, 65_536).decode()
            while not written.endswith("\x1b[?1049l"):
                written += os.read(master, 65_536).decode()
        os.close(master)
        assert written.startswith("\x1b[?1049h")
        assert "curl " in written
        assert "\x1b[32m" not in written
        drawn = written.split("\x1b[H")[1]
        assert drawn.count("\n") + 2 <= max(height or 30, 2)  # the command takes two

    def test_a_dumb_terminal_gets_lines(self) -> None:
        terminal = SimpleNamespace(isatty=lambda: True, write=print, flush=lambda: None)
        assert isinstance(choose(cast("Any", terminal), {"TERM": "dumb"}), Log)
