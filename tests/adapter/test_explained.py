"""Every setting has its text, from the place where it is written once."""

from __future__ import annotations

import inspect

import pytest

from adapter import settings
from adapter.explained import texts
from adapter.leaf import leaves


def test_every_field_has_a_text_of_its_own() -> None:
    found = texts()
    assert list(found) == [".".join(leaf.path) for leaf in leaves()]
    assert all(text.endswith(".") for text in found.values())
    assert found["ops.port"].startswith("Apart from the API")


def test_without_the_source_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> str:
        raise OSError("could not get source code")

    monkeypatch.setattr(inspect, "getsource", gone)
    assert texts() == {}
    assert settings.Settings()
