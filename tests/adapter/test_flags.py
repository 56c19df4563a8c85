"""The command line: every flag is explained, and what is none is told with what is meant."""

from __future__ import annotations

import pytest

from adapter.errors import SettingsError
from adapter.flags import given
from adapter.leaf import leaves
from adapter.load import load


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        given(["--help"], [])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert all(leaf.flag in said for leaf in leaves())
    assert "Apart from the API, so that a scrape needs no client certificate." in said


def test_every_unknown_flag_is_told_beside_all_other_problems() -> None:
    with pytest.raises(SettingsError) as raised:
        load(["--bogus", "x", "--ops-prt=1", "--ops-port", "many"], {})
    assert raised.value.problems == (
        "--bogus is no flag; `forescale adapter --help` lists them",
        "--ops-prt is no flag; did you mean --ops-port?",
        "--ops-port: `many` is no whole number",
    )


def test_a_flag_without_its_value_is_told() -> None:
    with pytest.raises(SettingsError, match="--config: expected one argument"):
        load(["--config"], {})
