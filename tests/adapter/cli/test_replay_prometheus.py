"""A user's own Prometheus as a trace: a real one, filled by promtool, and ones that are none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from adapter.cli import replay_prometheus
from adapter.cli.replay import run
from adapter.cli.replay_options import parser, trace_of
from adapter.replay.trace import Trace
from tests.controlplane.processes import free_ports

QUERY = "sum(rate(vllm:request_success_total[1m]))"
STEP = 15
BEGIN = 1_700_000_000 // 60 * 60
SILENT = range(3_600, 7_200)  # an hour of which the target tells nothing


def history() -> str:
    """Six hours of two pods' counters, 2 and 4 requests a second, and an hour of silence."""
    lines = ["# TYPE vllm:request_success counter"]
    for pod, rate in (("a", 2), ("b", 4)):
        lines += [
            f'vllm:request_success_total{{pod="{pod}"}} {rate * at} {BEGIN + at}'
            for at in range(0, 21_600, STEP)
            if at not in SILENT
        ]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that has the history."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "history").write_text(history())
    (folder / "config.json").write_text("{}")
    tool, program = shutil.which("promtool"), shutil.which("prometheus")
    assert tool, "promtool is missing: sudo apt-get install -y prometheus"
    assert program
    fill = ["tsdb", "create-blocks-from", "openmetrics", folder / "history", folder / "data"]
    subprocess.run([tool, *fill], check=True, capture_output=True)
    (port,) = free_ports(1)
    command = [
        program,
        f"--config.file={folder / 'config.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with ended(command):
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/-/ready")
        yield url


@contextmanager
def ended(command: list[str]) -> Iterator[None]:
    null = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=null, stderr=null)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except (URLError, OSError):
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.05)


def iso(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN + seconds))


def options(url: str, *more: str, begin: int = 600, end: int = 21_000) -> list[str]:
    span = ["--from", iso(begin), "--to", iso(end), "--step", "60s"]
    return [f"prometheus:{url}", "--query", QUERY, *span, *more]


def taken(argv: list[str]) -> Trace:
    return trace_of(parser().parse_args(argv), argv[0])


def errors(capsys: pytest.CaptureFixture[str], argv: list[str]) -> list[str]:
    assert run(argv) == 2
    return capsys.readouterr().err.splitlines()


@pytest.mark.process
def test_the_users_own_past_is_replayed(
    prometheus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*options(prometheus), "--policy", "reactive", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["late_ratio"] == 0
    # Twelve pods for six requests a second at 90 %, and nothing is paid in the silent hour.
    assert found["gpu_hours"] == pytest.approx(12 * 4.68, rel=0.03)


@pytest.mark.process
def test_what_prometheus_does_not_know_is_a_gap(prometheus: str) -> None:
    trace = taken(options(prometheus))
    assert trace.step_seconds == 5.0  # of a minute each, on the replay's grid
    assert trace.mean_rate == pytest.approx(6.0)
    begin, end = ((at - 600) // 5 for at in (SILENT.start, SILENT.stop))
    assert not trace.known[begin + 24 : end].any()
    assert trace.known[:begin].all()
    assert trace.known[end + 24 :].all()
    zero = taken(options(prometheus, "--absent", "zero"))
    assert zero.known.all()
    assert zero.mean_rate < 5.1


@pytest.mark.process
def test_a_long_past_is_asked_for_in_parts_that_fit_together(
    prometheus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = taken(options(prometheus))
    monkeypatch.setattr(replay_prometheus, "STEPS_A_QUERY", 7)
    parts = taken(options(prometheus))
    assert parts.arrivals.tolist() == whole.arrivals.tolist()
    assert parts.known.tolist() == whole.known.tolist()


@pytest.mark.process
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--query", "vllm:request_success_total"], "--query gives 2 series: write sum(vllm:"),
        (["--query", "sum(("], "HTTP Status Code 400"),
        (["--query", "no_such_metric"], "--query gives nothing from 2023-11-14T"),
        (["--from", "now"], "is not before --to, which is now at the latest, by two steps"),
        (["--from", "1900-01-01", "--step", "1s"], "makes"),
    ],
)
def test_what_cannot_be_asked_names_the_option(
    prometheus: str, capsys: pytest.CaptureFixture[str], change: list[str], words: str
) -> None:
    (error,) = errors(capsys, [*options(prometheus), *change])
    assert error.startswith("error: ")
    assert words in error


def test_all_options_that_do_not_fit_are_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = errors(capsys, ["prometheus:me@host", "--hpa", "no.yaml", "--slo", "late<=0.1"])
    assert [line.split(":")[1].strip() for line in found] == [
        "prometheus",
        "--query is missing",
        "--slo is what --tune keeps to",
        "--hpa no.yaml is no file",
    ]
    (error,) = errors(capsys, [str(tmp_path / "a.csv"), "--query", "up", "--step", "5s"])
    assert error.startswith(
        "error: --query, --step: for a trace from a Prometheus: give prometheus"
    )


def test_nobody_there_and_no_token_say_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (error,) = errors(capsys, options("http://127.0.0.1:1"))
    assert "ConnectionError: is it reachable from here?" in error
    missing = str(tmp_path / "token")
    (error,) = errors(capsys, options("http://127.0.0.1:1", "--token-file", missing))
    assert "FileNotFoundError: is --token-file right?" in error
    ca = options("https://127.0.0.1:1", "--ca-file", missing)
    (error,) = errors(capsys, ca)
    assert "is --ca-file right?" in error


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", 1e9),
        ("7d", 1e9 - 7 * 86_400),
        ("90s", 1e9 - 90),
        ("2001-09-09T01:46:30Z", 1e9 - 10),
        ("2001-09-09T03:46:30+02:00", 1e9 - 10),
        ("2001-09-09 01:46:30", 1e9 - 10),
        ("2001-09-09", 999_993_600.0),
    ],
)
def test_a_time_is_so_long_ago_or_of_the_calendar(text: str, meant: float) -> None:
    assert replay_prometheus.when(text)(1e9) == meant


@pytest.mark.parametrize("argv", [["--from", "yesterday"], ["--step", "1.5s"], ["--step", "0"]])
def test_what_is_no_time_is_a_usage_error(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run([*options("http://127.0.0.1:1"), *argv])
    assert caught.value.code == 2


@pytest.mark.process
def test_no_client_of_prometheus_is_loaded_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,requests\n0,1\n10,1\n")
    words = f"import sys\nfrom adapter.cli.replay import run\nrun(['{tmp_path / 'a.csv'}'])\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{words}print('requests' in sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "False"
