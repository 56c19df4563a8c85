"""What the demo borrows from the source tree is found, or missed in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.demo import fakes as demo_fakes
from adapter.errors import StartupError


def test_an_installed_package_says_in_one_line_that_it_needs_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(StartupError) as caught:
        demo_fakes.find(tmp_path)
    assert "runs from a source checkout" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_compiler_the_package_to_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(StartupError, match="apt-get install -y gcc") as caught:
        demo_fakes.find()
    assert "\n" not in str(caught.value)
