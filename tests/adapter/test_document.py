"""A file of settings is a mapping; a key that stands in it twice is told with both lines."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter import document


def read(tmp_path: Path, text: str) -> tuple[object, list[str]]:
    file, found = tmp_path / "f.yaml", list[str]()
    file.write_text(text)
    tree = document.read(file, "--check f.yaml", found)
    return tree, [words.removeprefix(f"{file}: ") for words in found]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a: 1\nb: 2\n", []),
        ("", []),
        ("a: 1\nb: 2\na: 3\na: 4\n", ["a is in lines 1 and 3", "a is in lines 1 and 4"]),
        ("m:\n  x: 1\n  x: 2\n", ["m.x is in lines 2 and 3"]),
        ("l:\n- {k: 1,\n   k: 2}\n", ["l[0].k is in lines 2 and 3"]),
        ("a: &x {k: 1, k: 2}\nb: *x\n", ["a.k is in lines 1 and 1"]),
        ("a: &x {k: 1}\nb: {<<: *x, k: 2}\n", []),
    ],
)
def test_a_key_that_stands_twice_in_one_mapping_is_told_with_both_lines(
    tmp_path: Path, text: str, wrong: list[str]
) -> None:
    tree, told = read(tmp_path, text)
    assert told == [f"{words}: keep one of them" for words in wrong]
    assert tree == (yaml.safe_load(text) or {})


@pytest.mark.parametrize("text", ["- a", "a: [", "a: 1\n---\nb: 2\n", "\0"])
def test_what_is_no_single_mapping_is_one_problem_under_the_name_that_was_given(
    tmp_path: Path, text: str
) -> None:
    tree, told = read(tmp_path, text)
    assert tree == {}
    assert len(told) == 1
    assert told[0].startswith("--check f.yaml")


_TREES = st.recursive(
    st.integers() | st.booleans() | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=2), inner),
    max_leaves=8,
)


@given(tree=st.dictionaries(st.text("xyz", max_size=2), _TREES, min_size=1))
def test_whatever_was_written_without_a_doubled_key_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
) -> None:
    assert read(tmp_path_factory.getbasetemp(), yaml.safe_dump(tree)) == (tree, [])
