"""`forescale top` at an adapter's ops port: one screen, JSON, errors with a hint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.api import query
from adapter.cli import top as command
from adapter.ops.top import Top
from adapter.ops.why import Why
from tests.adapter.cli.opsport import serving
from tests.adapter.model.world import DEPLOYMENT
from tests.adapter.ops.statuspage import busy


@pytest.fixture
def url() -> Iterator[str]:
    snapshot = busy("llm-a", "llm-b").advance(20)
    pages = Top(lambda: snapshot), Why(lambda: snapshot, query.choice)
    with serving(*pages) as found:
        yield found


@pytest.mark.parametrize("arguments", [[], ["-A"]])
def test_workloads_are_told_on_one_screen(
    url: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([*arguments, "--adapter", url]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.startswith("NAMESPACE  WORKLOAD")
    assert line.split()[:8] == ["default", "Deployment", DEPLOYMENT, "3", "2", "0", "0", "1"]


@pytest.mark.parametrize("name", [DEPLOYMENT, f"deploy/{DEPLOYMENT}"])
def test_a_workload_that_is_named_is_told_pod_by_pod(
    url: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([name, "--adapter", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[4].split()) == ("llm-a serving 0 s ago 4 8 - 50 % - (1)")
    assert [line.split()[0] for line in lines[4:-1]] == ["llm-a", "llm-b", "quiet"]
    assert lines[-1] == "(1) 2 pods, such as llm-a: its source does not read this"


def test_json_has_the_same(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run([DEPLOYMENT, "--adapter", url, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["loads"]["workloads"][0]["gpuPercent"] == 50.0
    assert len(found["stories"]["nvidia_gpu_utilization"]["pods"]) == 3


@pytest.mark.parametrize("what", ["foo/bar", "deployment/"])
def test_a_kind_that_is_none_is_a_usage_error(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.run([what, "--adapter", "http://127.0.0.1:1"])
    assert ended.value.code == 2
    assert f"`{what}` is no KIND/NAME: KIND is one of deploy," in capsys.readouterr().err


def test_nobody_at_an_address_is_said_in_one_plain_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.run(["--adapter", "http://127.0.0.1:1"]) == 1
    first, hint = capsys.readouterr().err.splitlines()
    assert first == "error: http://127.0.0.1:1 gave no answer: connection refused"
    assert hint.startswith("hint: give its ops port")


def test_without_any_cluster_it_is_said_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command.run([]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: no cluster is named: neither KUBECONFIG nor ~/.kube/config")


def test_an_unknown_workload_is_an_error_with_a_hint(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["sts/other", "--adapter", url]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: StatefulSet other in namespace default has no pod with a source")
    assert f"\nhint: forescale top -A --adapter {url} shows what the adapter knows" in err
