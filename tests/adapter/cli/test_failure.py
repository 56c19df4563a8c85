"""Every failure has its hint, wrong options too."""

from __future__ import annotations

import pytest

from adapter.cli import entry

WRONG = [
    ("why", "the following arguments are required: KIND/NAME"),
    ("top --bogus", "unrecognized arguments: --bogus"),
    ("cost --night x", "--night: `x` is no night: write two hours, such as 22-6"),
    ("demo --for soon", "--for: `soon` is no time"),
    ("migrate", "the following arguments are required"),
    ("replay", "the following arguments are required: TRACE"),
]


@pytest.mark.parametrize(("line", "words"), WRONG)
def test_wrong_options_are_told_in_two_lines(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(line.split())
    assert ended.value.code == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {words}")
    assert hint == f"hint: `forescale {line.split(maxsplit=1)[0]} --help` shows what it takes"
