"""A hold of a pod's own, as timelines: longer and shorter, of every kind of figure."""

import pytest

from adapter.errors import NoValue
from adapter.model.hold import Hold
from tests.adapter.model.world import HOLD_SECONDS, World, serving_pod

PENDING = "llm_inference_pending_requests"
TTFT = "llm_inference_time_to_first_token_seconds"
LONG, SHORT = 120.0, 20.0


def two(hold_seconds: float | None) -> World:
    """Return a world of two pods that are heard, of which the second has this hold."""
    world = World(serving_pod("llm-0"), serving_pod("llm-1", hold_seconds=hold_seconds))
    for name in world.pods:
        world.say[name] = {"pending": 4.0}
        world.counts[name] = {"time_to_first_token_seconds": ((1.0, 2.0), (0.0, 0.0, 0.0))}
    world.advance(20)
    for name in world.pods:
        world.counts[name] = {"time_to_first_token_seconds": ((1.0, 2.0), (5.0, 9.0, 9.0))}
    world.advance(20)
    return world


def test_each_pod_has_the_usual_hold_unless_it_asks_for_another() -> None:
    hold = Hold(60.0, {"b": 20.0})
    assert (hold.of("a"), hold.of("b")) == (60.0, 20.0)
    assert list(Hold(60.0, {"b": 20.0}).each(("a", "b"))) == [60.0, 20.0]  # type: ignore[arg-type]
    assert Hold(60.0).each(("a", "b")) == 60.0


@pytest.mark.parametrize(
    ("asked", "held_seconds"), [(None, HOLD_SECONDS), (LONG, LONG), (SHORT, SHORT)]
)
@pytest.mark.parametrize("metric", [PENDING, TTFT])
def test_a_silent_pod_is_held_for_as_long_as_it_asks(
    asked: float | None, held_seconds: float, metric: str
) -> None:
    world = two(asked)
    del world.say["llm-1"]
    world.advance(int(held_seconds) - 1)
    world.counts["llm-0"] = {"time_to_first_token_seconds": ((1.0, 2.0), (6.0, 10.0, 10.0))}
    world.advance(1)
    assert set(world.values(metric)) == {"llm-0", "llm-1"}
    world.advance(1)
    assert set(world.values(metric)) == {"llm-0"}


def test_another_pods_hold_is_not_touched() -> None:
    world = two(LONG)
    del world.say["llm-0"]
    world.advance(int(HOLD_SECONDS) + 1)
    assert set(world.values(PENDING)) == {"llm-1"}


def test_a_hold_that_is_asked_for_later_counts_from_the_next_tick_and_goes_again() -> None:
    world = two(None)
    del world.say["llm-1"]
    world.advance(30)
    world.change("llm-1", hold_seconds=SHORT)
    world.advance()
    assert set(world.values(PENDING)) == {"llm-0"}
    world.change("llm-1", hold_seconds=None)
    world.advance()
    assert set(world.values(PENDING)) == {"llm-0", "llm-1"}


def test_what_a_long_hold_bridged_is_remembered_and_what_a_short_one_did_not_is_not() -> None:
    long, short = two(LONG), two(SHORT)
    for world in (long, short):
        del world.say["llm-1"]
        world.advance(40)
        world.say["llm-1"] = {"pending": 0.0}
        world.advance(3)
    # The mean of 15 s: twelve of the value that was held, and three of the new one.
    assert long.values(PENDING)["llm-1"] == pytest.approx(4.0 * 12 / 15)
    assert short.values(PENDING)["llm-1"] == 0.0


def test_beyond_every_hold_there_is_an_error_that_says_how_long_it_is_silent() -> None:
    world = two(LONG)
    world.say.clear()
    world.advance(int(LONG))
    assert set(world.values(PENDING)) == {"llm-1"}
    world.advance(1)
    with pytest.raises(NoValue, match="2 pods, such as llm-0: no reading for 121 s"):
        world.values(PENDING)
