"""The words about a missing value: tenants write some of them, people read them in terminals."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import NoValue
from adapter.model import excuses
from adapter.model.batch import ModelState
from tests.adapter.model.world import World, serving_pod

METRIC = "llm_inference_pending_requests"
HOSTILE = "\x1b]0;owned\x07\x1b[2Jall is well\r\n\u202e\u2028NOT READY"


@pytest.mark.parametrize("model", [ModelState.FAILING, ModelState.LOADING])
def test_a_tenants_words_neither_end_a_line_nor_steer_a_terminal(model: ModelState) -> None:
    world = World(serving_pod("a"))
    world.say["a"] = {"gpu_busy_percent": 1.0}
    world.model["a"] = model
    world.why["a"] = {"engine": HOSTILE}
    world.advance(10)
    with pytest.raises(NoValue) as caught:
        world.values(METRIC)
    words = str(caught.value)
    assert "all is well" in words
    assert words.isprintable()


def test_pods_with_one_trouble_are_told_once_with_how_many_they_are() -> None:
    world = World(*(serving_pod(f"p{n}") for n in range(9)))
    for n in range(7):
        refused = f"nothing listens at http://10.0.0.{n}:9401 (connection refused)"
        world.troubles[f"uid-p{n}"] = refused
    world.troubles["uid-p7"] = "no answer from http://[fd00::7]:9401/v1/stream in 4 s"
    world.advance(10)
    with pytest.raises(NoValue) as caught:
        world.values(METRIC)
    assert str(caught.value) == (
        f"{METRIC} is known for 0 of 9 pods, fewer than half:"
        " 7 pods, such as p0: nothing listens at http://10.0.0.0:9401 (connection refused);"
        " p7: no answer from http://[fd00::7]:9401/v1/stream in 4 s;"
        " p8: its source has not been heard yet"
    )


def test_what_is_the_pods_own_does_not_part_reasons_and_what_is_wrong_does() -> None:
    for one, other in (
        ("http://10.0.0.7:9401/x answers 500", "http://10.1.0.8:9401/x answers 500"),
        ("at http://[fd00::7]:9401 (refused)", "at http://[fd00:a::b]:9401 (refused)"),
        ("no reading for 61 s (x)", "no reading for 7 s (x)"),
    ):
        assert excuses.alike(one) == excuses.alike(other)
    for one, other in (
        ("no reading for 61 s (x)", "no reading for 61 s (y)"),
        ("http://10.0.0.7:8000/x answers 404", "http://10.0.0.7:8000/x answers 503"),
        ("http://10.0.0.7:8000/x answers 500", "http://10.0.0.7:9000/x answers 500"),
    ):
        assert excuses.alike(one) != excuses.alike(other)


@given(
    st.lists(st.tuples(st.text("ab", min_size=1, max_size=3), st.sampled_from("xyzvw")),
             min_size=1, max_size=60),
    st.integers(0, 9),
)  # fmt: skip
def test_every_pod_is_counted_once(told: list[tuple[str, str]], more: int) -> None:
    parts = excuses.grouped(told, len(told) + more).split("; ")
    counts = [re.match(r"(?:and )?(\d+) (?:more|pods)", part) for part in parts]
    assert sum(int(found[1]) if found else 1 for found in counts) == len(told) + more
    assert len(parts) <= excuses.NAMED + 1


def test_the_words_of_a_source_that_cannot_be_read_are_printable_too() -> None:
    world = World(serving_pod("a"))
    world.troubles["uid-a"] = HOSTILE
    world.advance(10)
    with pytest.raises(NoValue) as caught:
        world.values(METRIC)
    assert "all is well" in str(caught.value)
    assert str(caught.value).isprintable()
