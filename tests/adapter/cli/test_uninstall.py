"""`forescale uninstall` deletes ours, says what it did, and what to do when it could not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.cli import uninstall
from adapter.intake.apiservice import PATH
from tests.adapter.cli.apiserver import in_a_thread
from tests.fakes.apiserver import FakeApiServer

OURS = {"name": "forescale", "namespace": "forescale-system", "port": 443}
FOREIGN = {"name": "keda", "namespace": "keda", "port": 443}
V1, V2 = "v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with in_a_thread() as fake:
        yield fake


def have(server: FakeApiServer, name: str, service: dict[str, object]) -> None:
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": "1"}
    body = {"metadata": metadata, "spec": {"service": service}}
    server.collections.setdefault(PATH, {})[name] = body


def test_ours_are_deleted_and_foreign_ones_are_kept(
    server: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    have(server, V1, OURS)
    have(server, V2, FOREIGN)
    assert uninstall.run(["--kubeconfig", server.kubeconfig(tmp_path)]) == 0
    assert list(server.collections[PATH]) == [V2]
    out = capsys.readouterr().out
    assert f"{V1}: deleted\n" in out
    assert f"{V2}: kept: it belongs to Service keda/keda\n" in out
    assert "hint: delete the adapter now" in out


def test_where_there_is_nothing_nothing_is_done(
    server: FakeApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KUBECONFIG", server.kubeconfig(tmp_path))
    assert uninstall.run([]) == 0
    external = "v1beta1.external.metrics.k8s.io"
    told = "".join(f"{name}: was not there\n" for name in (V2, V1, external))
    assert capsys.readouterr().out == told


def test_an_adapter_under_another_name_is_found_by_it(
    server: FakeApiServer, tmp_path: Path
) -> None:
    have(server, V1, {"name": "f", "namespace": "n", "port": 443})
    where = ["--kubeconfig", server.kubeconfig(tmp_path)]
    assert uninstall.run(where) == 0
    assert V1 in server.collections[PATH]
    assert uninstall.run([*where, "--namespace", "n", "--service", "f"]) == 0
    assert V1 not in server.collections[PATH]


def test_a_user_without_the_right_is_told_which_one(
    server: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refusals[f"GET {PATH}/{V2}"] = {"code": 403, "reason": "Forbidden", "message": "no"}
    assert uninstall.run(["--kubeconfig", server.kubeconfig(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "error: no\n"
        "hint: use a user who may get, patch and delete apiservices.apiregistration.k8s.io\n"
    )


def test_a_cluster_that_is_away_and_a_missing_file_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeApiServer()
    fake.port = 1
    assert uninstall.run(["--kubeconfig", fake.kubeconfig(tmp_path)]) == 1
    assert "hint: is the cluster reachable?" in capsys.readouterr().err
    assert uninstall.run(["--kubeconfig", str(tmp_path / "none")]) == 1
    assert "hint: name your kubeconfig" in capsys.readouterr().err


def test_an_argument_that_is_unknown_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        uninstall.run(["--nope"])
    assert caught.value.code == 2
