"""Finding and building the control plane, without building it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.controlplane import build


def script(folder: Path, says: str) -> Path:
    path = folder / "controlplane"
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_a_prebuilt_program_of_the_right_version_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path, f"Client Version: {build.KUBERNETES}")
    monkeypatch.setenv(build.PREBUILT, str(path))
    assert build.binary() == path
    assert build.build() == path


def test_a_prebuilt_program_of_another_version_is_refused_with_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(build.PREBUILT, str(script(tmp_path, "Client Version: v1.30.0")))
    with pytest.raises(build.BuildError, match=r"is not v1\.37\.2: .*v1\.30\.0"):
        build.binary()


def test_a_prebuilt_program_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(build.PREBUILT, str(tmp_path / "absent"))
    with pytest.raises(build.BuildError, match="absent is no control plane"):
        build.binary()


def test_a_program_not_built_yet_is_answered_with_the_line_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(build.PREBUILT, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(build.BuildError, match="run `make controlplane-build`"):
        build.binary()
    with pytest.raises(build.BuildError, match="run `make controlplane-build`"):
        build.binary("test-adapter")


def test_progress_counts_packages_and_not_messages(capsys: pytest.CaptureFixture[str]) -> None:
    progress = build.Progress("controlplane")
    progress.total = 3
    progress.line_every_seconds = 0.0
    for line in ("go: downloading k8s.io/api v0.37.2", "k8s.io/api/core/v1", "# a warning"):
        progress.heard(line)
    progress.finish()
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "controlplane: 1 modules downloaded, 0:00 min"
    assert lines[3] == "controlplane: 1 of about 3 packages compiled, 0:00 min"
    assert lines[-1] == "controlplane: built in 0:00 min"


def test_go_mod_fixes_kubernetes_and_every_one_of_its_modules_at_one_version() -> None:
    text = (build.MODULE / "go.mod").read_text()
    minor = build.KUBERNETES.removeprefix("v1.")
    assert f"k8s.io/kubernetes {build.KUBERNETES}" in text
    staging = re.findall(r"^\s(k8s\.io/\S+) => (k8s\.io/\S+) (v0\.\S+)$", text, re.MULTILINE)
    released = [entry for entry in staging if not entry[2].startswith("v0.0.0-")]
    assert len(released) == 29
    assert all((new, version) == (old, f"v0.{minor}") for old, new, version in released)
