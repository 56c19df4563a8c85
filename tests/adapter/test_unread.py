"""Why a file cannot be used is said in our words, with the place in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest
import yaml

from adapter import unread


class Price(msgspec.Struct, forbid_unknown_fields=True):
    hour: float
    spot: float | None = None


def failure(act: Callable[[], object]) -> Exception:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whichever it is
        return error
    raise AssertionError("it did not fail")


def converted(value: object) -> str:
    error = failure(lambda: msgspec.convert(value, Mapping[str, list[Price]]))
    return unread.why(error)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    missing, folder = tmp_path / "no", tmp_path
    assert unread.why(failure(missing.read_text)) == "there is no such file"
    assert unread.why(failure(folder.read_text)) == "it is a directory"


def test_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"ab\xff")
    error = failure(lambda: (tmp_path / "f").read_text("utf-8"))
    assert unread.why(error) == "it is no text in UTF-8 (byte 2)"


def test_broken_yaml_is_told_in_one_line_with_its_place() -> None:
    said = unread.why(failure(lambda: yaml.safe_load("a: [1,\n b: }\n")))
    assert said.startswith("it is no YAML: line 2, column 5: ")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [{"hour": "x"}]}, "[...][0].hour is a text: write a number"),
        ({"a": [{"hour": 1, "spot": []}]}, "[...][0].spot is a list: write a number or nothing"),
        ({"a": [{}]}, "[...][0].hour is missing"),
        ({"a": [{"hour": 1, "b": 2}]}, "[...][0].b is none of the keys there: leave it out"),
        ([], "it is a list: write a mapping"),
    ],
)
def test_a_value_of_the_wrong_shape_is_named_by_its_path(value: object, words: str) -> None:
    assert converted(value) == words


def test_a_path_may_begin_elsewhere() -> None:
    error = failure(lambda: msgspec.convert([{"hour": 1}, {}], list[Price]))
    assert isinstance(error, msgspec.ValidationError)
    assert unread.shape(error, "prices") == "prices[1].hour is missing"
