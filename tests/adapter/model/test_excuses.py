"""The words about a missing value: tenants write some of them, people read them in terminals."""

from __future__ import annotations

import pytest

from adapter.errors import NoValue
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


def test_the_words_of_a_source_that_cannot_be_read_are_printable_too() -> None:
    world = World(serving_pod("a"))
    world.troubles["uid-a"] = HOSTILE
    world.advance(10)
    with pytest.raises(NoValue) as caught:
        world.values(METRIC)
    assert "all is well" in str(caught.value)
    assert str(caught.value).isprintable()
