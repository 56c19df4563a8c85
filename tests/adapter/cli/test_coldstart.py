"""`forescale coldstart` at an adapter's ops port: one screen, JSON, errors with a hint."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from adapter.cli import coldstart as command
from adapter.ops.coldstart import ColdStart
from tests.adapter.cli.opsport import serving
from tests.adapter.model.test_starting import NOW, Timeline, served


@pytest.fixture
def url() -> Iterator[str]:
    line = Timeline(served("a", 100), at=300)
    with serving(ColdStart(line.starting, clock=lambda: NOW + 300)) as found:
        yield found


@pytest.mark.parametrize("arguments", [[], ["llm"], ["deploy/llm"], ["Deployment/llm"], ["-A"]])
def test_the_cold_start_is_told(
    url: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([*arguments, "--adapter", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Deployment default/llm"
    assert lines[3].startswith("cold start: P50 100 s, P90 ")


def test_json_has_the_same(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["llm", "--adapter", url, "-o", "json"]) == 0
    (story,) = json.loads(capsys.readouterr().out)["workloads"]
    assert (story["name"], story["warm"]["seconds"]) == ("llm", [100])


def test_a_namespace_without_starts_says_so(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["-n", "other", "--adapter", url]) == 0
    assert "no pod with a source was seen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["other"], "nothing is known of a start of other"),
        (["sts/llm"], "nothing is known of a start of llm"),
        (["llm", "-n", "other"], "nothing is known of a start of llm"),
    ],
)
def test_an_unknown_workload_is_an_error_with_a_hint(
    url: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([*arguments, "--adapter", url]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {words}")
    assert f"\nhint: forescale top -A --adapter {url} shows what the adapter knows" in err


def test_an_adapter_that_is_away_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["--adapter", "http://127.0.0.1:1"]) == 1
    assert "error: http://127.0.0.1:1 gave no answer" in capsys.readouterr().err
