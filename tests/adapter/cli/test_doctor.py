"""`forescale doctor`: exit codes, JSON, errors with a hint; each check has tests of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.cli import doctor
from tests.adapter.cli.apiserver import in_a_thread
from tests.adapter.doctor.test_gather import cluster
from tests.fakes.apiserver import FakeApiServer

WHY = "/api/v1/namespaces/forescale-system/services/forescale:ops/proxy/why"


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with in_a_thread() as fake:
        cluster(fake)
        yield fake


def test_what_is_broken_is_said_with_a_hint_and_in_the_exit_code(
    server: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.allows = lambda _: False
    told = {"code": 503, "reason": "", "message": '{"error": "has just started"}'}
    server.refusals[f"GET {WHY}"] = told
    assert doctor.run(["--kubeconfig", server.kubeconfig(tmp_path)]) == 2
    out = capsys.readouterr().out
    assert "\nFAIL     hpa-rights       system:serviceaccount:kube-system:horizontal" in out
    assert "hint: kubectl create clusterrolebinding" in out
    assert (
        "\nUNKNOWN  sources          the adapter said nothing of default: has just started" in out
    )
    assert "\x1b" not in out


def test_json_has_the_same(
    server: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.run(["--kubeconfig", server.kubeconfig(tmp_path), "-o", "json"]) == 2
    lines = json.loads(capsys.readouterr().out)["lines"]
    assert {"level": "PASS", "check": "api-server", "seen": "v1.37.2", "hint": ""} in lines


def test_a_namespace_limits_what_is_looked_at(
    server: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.run(["--kubeconfig", server.kubeconfig(tmp_path), "-n", "prod"]) == 1
    assert "no pod in prod has the label" in capsys.readouterr().out


def test_without_a_cluster_nothing_is_known_and_the_hint_says_what_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert doctor.run([]) == 2
    assert "hint: name your kubeconfig with --kubeconfig" in capsys.readouterr().err


def test_a_cluster_that_is_away_is_an_error_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = FakeApiServer()
    away.port = 1
    assert doctor.run(["--kubeconfig", away.kubeconfig(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: GET /version: ")
    assert "hint: is the cluster reachable?" in err
