"""The target is the most in flight that kept the objective, and what is unsure about it is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.suggestion import WIDE_RATIO, Reading, suggest

OBJECTIVE = 2.0


def readings(*pairs: tuple[float, float]) -> list[Reading]:
    return [Reading(f"llm-{n % 4}", inflight, wait) for n, (inflight, wait) in enumerate(pairs)]


def many(knee: float, most: int = 40) -> list[Reading]:
    """Requests wait from the knee on."""
    return readings(*((float(n), 0.1 if n <= knee else 5.0) for n in range(1, most)))


def test_the_target_is_the_highest_load_before_the_objective_is_left() -> None:
    found = suggest(many(24), OBJECTIVE)
    assert (found.target, found.beyond, found.contradicting_ratio) == (24, 15, 0.0)
    assert (found.readings, found.pods, found.lowest, found.highest) == (39, 4, 1.0, 39.0)
    assert (found.held_below, found.beyond_above) == (25.0, 24.0)
    assert (found.held_up_to, found.beyond_from) == (24.0, 25.0)
    assert found.doubts == ()


def test_one_long_prompt_among_idle_pods_moves_no_target() -> None:
    found = suggest([*many(24, 60), Reading("llm-9", 2.0, 30.0)], OBJECTIVE)
    assert found.target == 24
    assert 0 < found.contradicting_ratio < 0.1


def test_while_nothing_is_beyond_the_objective_the_target_is_a_lower_bound() -> None:
    found = suggest(many(100), OBJECTIVE)
    assert found.target == 39
    assert found.doubts == ("none was beyond the objective: more in flight may hold as well",)


def test_where_every_reading_is_beyond_it_there_is_no_target() -> None:
    found = suggest(many(0), OBJECTIVE)
    assert found.target is None
    assert "no load kept the objective" in found.doubts[0]
    assert (found.held_below, found.beyond_above) == (1.0, None)
    assert (found.held_up_to, found.beyond_from) == (None, 1.0)


def test_few_readings_and_those_that_contradict_are_doubted() -> None:
    doubts = suggest(readings((1.0, 0.1), (9.0, 5.0)), OBJECTIVE).doubts
    assert [doubt.split(":")[0] for doubt in doubts] == [
        "only 2 readings",
        "only 1 beyond the objective",
        "nothing was seen between 1 and 9 in flight, so each target from 1 to 8 fits",
    ]
    mixed = readings(*((float(n), 5.0 if n % 2 else 0.1) for n in range(1, 60)))
    assert any("wrong side" in doubt for doubt in suggest(mixed, OBJECTIVE).doubts)


def test_a_hole_above_the_target_is_doubted_and_a_narrow_one_is_not() -> None:
    """3.8 in flight waited 1 s, and the next reading above, at 22, waited 13 s."""
    few = [(n / 10.0, 1.0) for n in range(1, 39)]
    found = suggest(readings(*few, *((float(n), 13.0) for n in range(22, 26))), OBJECTIVE)
    assert (found.target, found.held_up_to, found.beyond_from) == (3, 3.8, 22.0)
    (doubt,) = found.doubts
    assert doubt.startswith("nothing was seen between 3.8 and 22 in flight, so each target from 3")
    near = readings(*few, *((n, 13.0) for n in (5.6, 6.0, 7.0)))
    assert suggest(near, OBJECTIVE).doubts == ()


def test_where_no_other_target_lies_between_there_is_none_to_doubt() -> None:
    ones = readings(*[(1.0, 0.1)] * 20, *[(2.0, 9.0)] * 5)
    assert (suggest(ones, OBJECTIVE).target, suggest(ones, OBJECTIVE).doubts) == (1, ())


def test_less_than_the_minute_of_a_reading_is_one_reading() -> None:
    (doubt,) = suggest(many(24), OBJECTIVE, 5.0).doubts
    assert doubt == "it looked for 5 s, and a reading is of a minute: all are of the same"
    assert suggest(many(24), OBJECTIVE, 60.0).doubts == ()


def test_without_a_reading_there_is_nothing_to_suggest() -> None:
    with pytest.raises(ValueError, match="no pod had requests in flight"):
        suggest([], OBJECTIVE)


def test_a_request_is_in_service_as_long_as_near_the_target() -> None:
    """Little's law; a pod that idles answers faster, one beyond the objective queues."""
    seen = [
        Reading("idle", 1.0, 0.1, 1.0),
        *(Reading("near", float(n), 0.1, n / 4.0) for n in (6, 8, 12)),
        Reading("untold", 12.0, 0.1),
        Reading("queue", 40.0, 9.0, 3.0),
    ]
    found = suggest(seen, OBJECTIVE)
    assert (found.target, found.service_seconds) == (12, 4.0)
    assert suggest(many(24), OBJECTIVE).service_seconds is None
    nothing_came = [Reading("a", 12.0, 0.1, 0.0)]
    assert suggest(nothing_came, OBJECTIVE).service_seconds is None


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e3)), min_size=1, max_size=60),
    st.floats(0.01, 100),
)
def test_whatever_is_read_the_target_is_one_that_was_seen_and_a_looser_objective_carries_more(
    pairs: list[tuple[float, float]], objective: float
) -> None:
    found = suggest(readings(*pairs), objective)
    assert found.target is None or 1 <= found.target <= found.highest
    assert 0.0 <= found.contradicting_ratio <= 1.0
    for reading in readings(*pairs):
        late = reading.latency_seconds > objective
        assert not (late and found.held_below is not None and reading.inflight < found.held_below)
        if found.beyond_above is not None:
            assert late or reading.inflight <= found.beyond_above
    seen = sorted(inflight for inflight, _ in pairs)
    if found.held_up_to is not None and found.beyond_from is not None:
        assert found.held_up_to <= found.beyond_from
        assert not any(found.held_up_to < one < found.beyond_from for one in seen)
        wide = found.beyond_from > WIDE_RATIO * found.held_up_to
        others = math.floor(found.held_up_to) + 1 < found.beyond_from
        doubted = any("nothing was seen between" in doubt for doubt in found.doubts)
        assert doubted == (wide and others and found.target is not None)
    looser = suggest(readings(*pairs), 2 * objective)
    assert (looser.target or 0) >= (found.target or 0)
