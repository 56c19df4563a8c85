"""The command `forescale`: finds subcommands, and helps where it cannot."""

import subprocess
import sys

import pytest

from adapter.cli.entry import COMMANDS, main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in shown] == []


def test_a_mistyped_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dmo"]) == 2
    assert "hint: did you mean `demo`?" in capsys.readouterr().err


def test_no_command_is_the_usage_and_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: forescale COMMAND" in capsys.readouterr().err


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("forescale ")


def test_without_the_adapters_packages_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "from adapter.cli.entry import main; sys.exit(main(['adapter']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "hint: pip install 'forescale[adapter]'" in done.stderr
    assert "Traceback" not in done.stderr
