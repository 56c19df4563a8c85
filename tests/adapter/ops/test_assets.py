"""The files that come from others are the ones that THIRD_PARTY.md names, byte for byte."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path

from adapter.ops.assets import POLICY, assets

ROOT = Path(__file__).resolve().parents[3]


def test_vendored_files_have_the_sums_of_third_party_md() -> None:
    told = (ROOT / "THIRD_PARTY.md").read_text()
    folder = resources.files("adapter.ops").joinpath("static")
    vendored = [file for file in folder.iterdir() if file.name.startswith("uPlot")]
    assert len(vendored) == 3
    for file in vendored:
        total = hashlib.sha256(file.read_bytes()).hexdigest()
        assert re.search(rf"`{re.escape(file.name)}`[^`]*`{total}`", told), file.name


def test_nothing_that_is_served_speaks_of_another_host_or_makes_markup_of_text() -> None:
    ours = [one for one in assets() if "status." in one.path]
    assert len(ours) == 2
    for one in ours:
        text = one._body.decode()
        assert not re.search(
            r"https?:|//\w+\.|innerHTML|insertAdjacentHTML|eval|document\.write", text
        )


def test_the_policy_has_no_way_around_it() -> None:
    assert "*" not in POLICY
    assert "unsafe" not in POLICY
    assert "data:" not in POLICY
