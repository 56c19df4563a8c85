"""The demo really runs: replicas rise under a real load, and nothing of it is left behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from adapter.cli import demo
from adapter.cli.entry import main

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[3]
MARK = "DEMO_TEST_MARK"
COMMAND = "import sys; from adapter.cli.entry import main; sys.exit(main())"


class Demo:
    """A demo in a session of its own; a variable that all its processes inherit marks them."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self._told = folder.parent / f"{self._mark}.stderr"
        with self._told.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, "demo", *arguments],
                cwd=ROOT,
                env={**os.environ, MARK: self._mark, "TMPDIR": str(folder)},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    def told(self) -> str:
        return self._told.read_text(encoding="utf-8")

    def left(self) -> list[str]:
        """Return the command lines of its processes that are alive."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self._mark:
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found

    def ended(self, seconds: float) -> str:
        """Return what it wrote to its standard output once it has ended."""
        return self.process.communicate(timeout=seconds)[0]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    made: list[Demo] = []

    def starting(*arguments: str) -> Demo:
        folder = tmp_path / f"tmp{len(made)}"
        folder.mkdir()
        made.append(Demo(folder, *arguments))
        return made[-1]

    yield starting
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        if one.process.stdout:
            one.process.stdout.close()


def until(condition: Callable[[], bool], seconds: float, words: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, words()
        time.sleep(0.1)


def test_replicas_rise_under_load_every_query_is_answered_and_all_processes_end(
    start: Callable[..., Demo],
) -> None:
    running = start("--for", "25s", "--json")
    output = running.ended(100)
    assert running.process.returncode == 0, running.told()
    (line,) = output.splitlines()
    found = json.loads(line)
    assert found["replicas_min"] == 1
    assert found["replicas_max"] >= 3, running.told()
    assert found["queries"] > 40
    assert found["query_errors"] == 0, found["last_query_error"]
    assert 0 < found["sample_age_p99_seconds"] < 6  # three heartbeats; the machine may be busy
    assert found["requests_served"] > 100
    assert found["requests_failed"] == 0
    assert "per pod / 5 = " in running.told()
    assert running.left() == []
    assert list(running.folder.iterdir()) == []


def test_the_commands_that_it_shows_answer_and_ctrl_c_leaves_nothing(
    start: Callable[..., Demo], capsys: pytest.CaptureFixture[str]
) -> None:
    running = start("--for", "5m", "--json")
    until(lambda: "curl" in running.told(), 60, running.told)
    shown = re.search(r'curl "(\S+)"', running.told())
    assert shown is not None
    assert shown[1].endswith("/namespaces/default/pods/*/nvidia_gpu_utilization")
    until(lambda: len(_items(shown[1])) == 1, 20, running.told)
    (item,) = _items(shown[1])
    assert item["metricName"] == "nvidia_gpu_utilization"
    assert item["describedObject"]["name"].startswith("llm-inference-deployment-")
    _asked_as_shown(running.told(), item["describedObject"]["name"], capsys)
    assert len(running.left()) >= 5  # demo, adapter, model server, sidecar and its GPU reader

    os.killpg(running.process.pid, signal.SIGINT)
    output = running.ended(15)
    assert running.process.returncode == 0, running.told()
    assert json.loads(output)["replicas_max"] >= 1
    assert running.left() == []
    assert list(running.folder.iterdir()) == []


def _asked_as_shown(told: str, pod: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the two other commands that it shows, as a person would."""
    why, coldstart = re.findall(r"forescale ((?:why|coldstart) deployment/\S+ .*)", told)
    assert main(shlex.split(why)) == 0
    said = capsys.readouterr().out
    assert "nvidia_gpu_utilization (percent, " in said
    assert f"  {pod}" in said
    assert main(shlex.split(coldstart)) == 0
    assert capsys.readouterr().out.startswith("Deployment default/llm-inference-deployment")


def _items(url: str) -> list[dict[str, dict[str, str]]]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own adapter
            return json.load(answer)["items"]
    except OSError:
        return []


def test_a_demo_that_is_killed_leaves_no_process_either(start: Callable[..., Demo]) -> None:
    running = start("--for", "5m", "--json")
    until(lambda: len(running.left()) >= 5, 60, running.told)
    running.process.kill()
    until(lambda: running.left() == [], 5, lambda: "\n".join(running.left()))
    assert running.left() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "soon"], "`soon` is no time: write 60s, 5m or seconds above 0"),
        (["--for", "0s"], "`0s` is no time"),
        (["--speed", "0"], "`0` is no speed: use above 0 to 20"),
        (["--speed", "100"], "`100` is no speed"),
    ],
)
def test_a_wrong_argument_is_named_with_what_it_takes(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        demo.run(arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_manifest_that_cannot_be_used_ends_the_demo_with_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "hpa.yaml"
    head = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
    manifest.write_text(f"{head}spec: {{maxReplicas: 0}}\n", encoding="utf-8")
    assert demo.run(["--hpa", str(manifest)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert any("spec.maxReplicas is `0`" in line for line in told)
    assert any("spec.metrics is empty" in line for line in told)
    assert all(line.startswith("error: ") for line in told)
