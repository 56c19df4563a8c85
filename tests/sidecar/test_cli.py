"""Owns the proof that a subcommand is found, alone imported, and helped with when mistyped."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.cli import COMMANDS, main


def test_help_of_the_sidecar_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert [name for name in COMMANDS if f"  {name} " not in said] == []


def test_a_mistyped_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prob-for"]) == 2
    assert "hint: did you mean `probe-for`?" in capsys.readouterr().err


def test_a_word_that_is_no_command_gets_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vllm"]) == 2
    assert "hint: there are " + ", ".join(COMMANDS) in capsys.readouterr().err


def test_without_a_subcommand_the_sidecars_own_settings_are_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--port", "high"]) == 2
    assert "--port: 'high' is no port" in capsys.readouterr().err


def test_a_subcommand_runs_without_what_only_the_sidecar_needs() -> None:
    program = (
        "import sys; from sidecar.cli import main; code = main(['probe-for', 'vllm'])\n"
        "sys.exit(code or 10 * ('aiohttp' in sys.modules))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# vllm: ")
