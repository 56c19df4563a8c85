"""A manifest's fields are read with types, and every wrong one becomes a sentence."""

from __future__ import annotations

from enum import StrEnum

import pytest

from adapter.model.manifest import Field


class Colour(StrEnum):
    RED = "Red"
    BLUE = "Blue"


def field(value: object) -> Field:
    return Field(value, "spec", [])


def test_a_value_of_the_right_type_comes_back_without_a_problem() -> None:
    node = field({"name": "a", "count": 3, "colour": "Blue", "size": "1.5k"})
    assert node.text("name") == "a"
    assert node.integer("count", None, at_least=1) == 3
    assert node.choice("colour", Colour) is Colour.BLUE
    assert node.milli("size") == 1_500_000
    assert node.problems == []


def test_a_missing_value_takes_the_default_where_there_is_one() -> None:
    node = field({})
    assert node.text("name", "x") == "x"
    assert node.integer("count", 7, at_least=1) == 7
    assert node.choice("colour", Colour, Colour.RED) is Colour.RED
    assert node.milli("size") is None
    assert node.items("list") == []
    assert node.problems == []


@pytest.mark.parametrize("count", [0, -1, 2**31, True, "3", 1.0, None])
def test_an_integer_outside_its_range_or_type_is_named_with_the_range(count: object) -> None:
    node = field({"count": count})
    assert node.integer("count", None, at_least=1) == 1
    (problem,) = node.problems
    assert problem.startswith("spec.count is ")
    assert "whole number from 1 to 2147483647" in problem


def test_a_wrong_choice_lists_the_known_ones() -> None:
    node = field({"colour": "Green"})
    node.choice("colour", Colour)
    assert node.problems == ["spec.colour is `Green`: use one of Red, Blue"]


def test_a_wrong_quantity_says_what_one_looks_like() -> None:
    node = field({"size": "many"})
    assert node.milli("size") is None
    assert node.problems[0].startswith("spec.size is wrong: `many` is no quantity")


def test_problems_of_children_carry_their_path_and_collect_in_one_list() -> None:
    node = Field({"spec": {"metrics": [{"type": 1}, 2]}}, "", [])
    first, second = node.child("spec").items("metrics")
    first.text("type")
    second.text("type")
    assert node.problems == [
        "spec.metrics[1] is no object: give it fields of its own",
        "spec.metrics[0].type is `1`: give a name",
        "spec.metrics[1].type is missing: give a name",
    ]


def test_a_scalar_where_a_list_belongs_is_a_problem() -> None:
    node = field({"metrics": "none"})
    assert node.items("metrics") == []
    assert node.problems == ["spec.metrics is no list: start each entry with a dash"]


def test_a_manifest_that_is_no_object_at_all_is_a_problem() -> None:
    assert Field(None, "", []).problems == ["the manifest is no object: give it fields of its own"]
