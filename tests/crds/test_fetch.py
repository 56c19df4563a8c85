"""Finding the CRDs of others, without fetching them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controlplane.build import BuildError
from tests.crds import fetch


def test_crds_not_fetched_yet_are_answered_with_the_line_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BuildError, match=r"run `\.venv/bin/python -m tests\.crds\.fetch`"):
        fetch.paths()


def test_every_module_is_fixed_to_one_content() -> None:
    required = {
        line.strip()
        for line in (fetch.MODULE / "go.mod").read_text().splitlines()
        if line.startswith("\t")
    }
    assert {line.partition(" ")[0] for line in required} == set(fetch.FILES)
    sums = (fetch.MODULE / "go.sum").read_text().splitlines()
    assert {line.partition(" h1:")[0] for line in sums} == {
        *required,
        *(f"{line}/go.mod" for line in required),
    }


def test_no_file_of_one_owner_takes_the_place_of_anothers() -> None:
    names = [Path(file).name for files in fetch.FILES.values() for file in files]
    assert len(set(names)) == len(names) == 5
