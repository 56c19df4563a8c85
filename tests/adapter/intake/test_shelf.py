"""The shelf keeps what was read of each object, and says when that changed."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.intake.shelf import Shelf


def named(name: str, **content: object) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, **content}


def shelf() -> Shelf[str]:
    return Shelf("Thing", lambda raw: raw["word"] or None, notes=True)


def test_objects_come_change_and_go() -> None:
    kept = shelf()
    kept.put(named("a", word="x"))
    kept.put(named("a", word="y"))
    assert kept.kept == {("default", "a"): "y"}
    kept.drop(("default", "a"))
    assert kept.kept == {}


def test_an_object_that_has_nothing_to_keep_is_not_kept() -> None:
    kept = shelf()
    kept.put(named("a", word="x"))
    kept.put(named("a", word=""))
    assert kept.kept == {}


def test_only_a_change_of_what_is_kept_is_a_new_version() -> None:
    kept = shelf()
    kept.put(named("a", word="x"))
    before = kept.version
    kept.put(named("a", word="x", other=1))
    kept.drop(("default", "unknown"))
    assert kept.version == before
    kept.put(named("a", word="z"))
    assert kept.version > before


def test_a_list_takes_the_place_of_what_was_known() -> None:
    kept = shelf()
    kept.put(named("a", word="x"))
    kept.replace([named("b", word="y")])
    assert kept.kept == {("default", "b"): "y"}


def test_an_object_that_cannot_be_read_is_told_once_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = shelf()
    kept.put(named("a", word="x"))
    for _ in range(3):
        kept.put(named("a"))
    assert kept.kept == {}
    assert [record.getMessage() for record in caplog.records] == ["object_unreadable"]


def test_what_changed_is_named_until_its_reader_clears_it() -> None:
    kept = shelf()
    kept.replace([named("a", word="x"), named("b", word="y")])
    assert kept.changed == {("default", "a"), ("default", "b")}
    kept.changed.clear()
    kept.put(named("a", word="x", other=1))
    kept.replace([named("a", word="x"), named("c", word="z")])
    assert kept.changed == {("default", "b"), ("default", "c")}


def test_without_a_reader_of_changes_none_are_noted() -> None:
    unread: Shelf[str] = Shelf("Thing", lambda raw: raw["word"] or None)
    for n in range(3):
        thing = {"metadata": {"namespace": "default", "name": str(n)}, "word": "x"}
        unread.put(thing)
        unread.replace([])
    assert unread.changed == set()
    assert unread.version == 6
