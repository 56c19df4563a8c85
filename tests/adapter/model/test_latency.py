"""Latencies: what histograms gained in a window, per pod and merged; no count of before."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import NoValue
from adapter.model.batch import Batch, Buckets, ModelState, Reading
from adapter.model.catalogue import Stat, View
from adapter.model.latency import Trail, Trails, merged, quantiles
from tests.adapter.model.world import HOLD_SECONDS, WALL, World, serving_pod

QUEUE = "llm_inference_queue_time_seconds"
SERIES = "queue_time_seconds"
BOUNDS = (0.1, 1.0, 10.0)
P95 = View(Stat.P95, 60)
P50 = View(Stat.P50, 60)


def reading(at: float, counts: tuple[float, ...], **changes: object) -> Reading:
    bounds = changes.pop("bounds", BOUNDS)
    fields: dict[str, object] = {"life": "b", "model": ModelState.READY, "uid": "u"} | changes
    buckets = {SERIES: Buckets(at, bounds, counts)} if counts else {}  # type: ignore[arg-type]
    return Reading(at=at, period_seconds=2.0, points=(), buckets=buckets, **fields)  # type: ignore[arg-type]


def fed(*readings: Reading) -> Trail:
    trails = Trails()
    for said in readings:
        trails.take(Batch((said,)))
    (trail,) = trails.freeze().of(SERIES, ["u"])
    assert trail is not None
    return trail


def of(trail: Trail, view: View = P95) -> float:
    return float(quantiles([trail], view).levels[0])


def test_what_was_counted_before_the_first_reading_is_not_in_the_window() -> None:
    trail = fed(reading(100.0, (0.0, 0.0, 9000.0, 9000.0)))
    assert math.isnan(of(trail))


def test_a_quantile_is_that_of_what_the_window_gained() -> None:
    slow = (0.0, 0.0, 100.0, 100.0)
    said = [reading(100.0, slow)]
    said += [reading(100.0 + n, (0.0, 10.0 * n, 100.0 + 10 * n, 100.0 + 10 * n)) for n in (1, 2)]
    assert of(fed(*said)) == pytest.approx(0.1 + 0.9 * 0.95)


@pytest.mark.parametrize("seconds", [15, 30, 60, 120, 300, 600])
def test_a_window_forgets_what_is_older(seconds: int) -> None:
    counts = [0.0, 0.0, 0.0, 0.0]
    said = []
    for second in range(700 + seconds + 40):
        bucket = 2 if second < 700 else 0  # slow until second 700, fast from there
        counts = [count + (place >= bucket) for place, count in enumerate(counts)]
        said.append(reading(1000.0 + second, tuple(counts)))
    view = View(Stat.P99, seconds)
    assert of(fed(*said[: 700 + seconds // 2]), view) > 1.0
    assert of(fed(*said), view) <= 0.1


def test_no_more_is_kept_than_the_docstring_says() -> None:
    trails = Trails()
    for second in range(3000):
        trails.take(Batch((reading(float(second), (0.0, 0.0, 0.0, float(second))),)))
    marks = trails.freeze().by_series[SERIES]["u"].marks
    assert len(marks) <= 48
    assert 600 <= 2999 - marks[0].at <= 710
    assert {len(mark.counts) for mark in marks} == {8 * 4}


@pytest.mark.parametrize(
    "after",
    [
        reading(102.0, (0.0, 0.0, 1.0, 1.0)),  # the counts fell
        reading(102.0, (0.0, 0.0, 9000.0, 9000.0), life="another"),
        reading(102.0, (0.0, 9000.0), bounds=(1.0,)),
        reading(300.0, (0.0, 0.0, 9000.0, 9000.0)),  # a silence longer than the hold
    ],
)
def test_a_restart_and_a_gap_begin_anew(after: Reading) -> None:
    assert math.isnan(of(fed(reading(100.0, (0.0, 0.0, 50.0, 50.0)), after)))


def test_a_model_that_loads_again_begins_anew() -> None:
    loading = reading(101.0, (), model=ModelState.LOADING)
    trail = fed(
        reading(100.0, (0.0, 0.0, 5.0, 5.0)), loading, reading(102.0, (0.0, 0.0, 90.0, 90.0))
    )
    assert math.isnan(of(trail))


def test_the_same_reading_sent_again_is_no_later_one() -> None:
    trail = fed(reading(100.0, (0.0, 0.0, 5.0, 5.0)), reading(99.99, (0.0, 0.0, 5.0, 5.0)))
    assert trail.last.at == 100.0


def test_what_is_frozen_does_not_change_when_more_is_read() -> None:
    trails = Trails()
    trails.take(Batch((reading(100.0, (0.0, 0.0, 0.0, 0.0)),)))
    frozen = trails.freeze()
    trails.take(Batch((reading(101.0, (0.0, 0.0, 0.0, 9.0)),)))
    assert [trail.last.at for trail in frozen.of(SERIES, ["u"]) if trail] == [100.0]


def test_a_pod_with_one_of_two_histograms_has_that_one() -> None:
    trails = Trails()
    trails.take(Batch((reading(100.0, (0.0, 0.0, 0.0, 0.0)),)))
    assert trails.freeze().of("time_to_first_token_seconds", ["u", "nobody"]) == [None, None]


def test_pods_are_forgotten() -> None:
    trails = Trails()
    trails.take(Batch((reading(1.0, (0.0, 0.0, 0.0, 1.0)),)))
    trails.forget(())
    frozen = trails.freeze()
    assert frozen.of(SERIES, ["u"]) == [None]
    assert frozen.latest == {}


def test_the_window_is_that_of_the_marks() -> None:
    said = [reading(1000.0 + n, (0.0, 0.0, 0.0, float(n))) for n in range(900)]
    trails = [None, fed(*said[:20]), fed(*said)]
    assert quantiles(trails, P95).seconds.tolist()[:2] == [0.0, 19.0]
    for view, slack in ((View(Stat.P95, 15), 3), (P95, 3), (View(Stat.P95, 600), 15)):
        assert quantiles(trails, view).seconds[2] == pytest.approx(view.window_seconds, abs=slack)


def test_merged_pods_count_by_their_observations() -> None:
    quick = fed(reading(100.0, (0.0, 0.0, 0.0, 0.0)), reading(101.0, (90.0, 90.0, 90.0, 90.0)))
    slow = fed(reading(100.0, (0.0, 0.0, 0.0, 0.0)), reading(101.0, (0.0, 0.0, 10.0, 10.0)))
    # Of a hundred the ninety-fifth is the fifth of ten in the last bucket, not the mean of two.
    assert merged([quick, slow], P95) == pytest.approx(1.0 + 9.0 * 0.5)


def test_histograms_of_different_bounds_are_merged_at_the_bounds_of_all() -> None:
    one = fed(reading(100.0, (0.0, 0.0, 0.0, 0.0)), reading(101.0, (2.0, 4.0, 8.0, 8.0)))
    two = fed(
        reading(100.0, (0.0, 0.0, 0.0), bounds=(1.0, 5.0)),
        reading(101.0, (4.0, 4.0, 4.0), bounds=(1.0, 5.0)),
    )
    assert merged([one, two], P50) == pytest.approx(0.75)  # six of twelve, eight are below 1.0
    other = fed(
        reading(100.0, (0.0, 0.0), bounds=(7.0,)), reading(101.0, (4.0, 4.0), bounds=(7.0,))
    )
    with pytest.raises(ValueError, match="no bucket in common"):
        merged([one, other], P50)


@given(
    st.lists(st.lists(st.integers(0, 100), min_size=4, max_size=4), min_size=1, max_size=5),
    st.sampled_from([Stat.P50, Stat.P90, Stat.P95, Stat.P99]),
)
def test_merging_equal_bounds_is_the_quantile_of_the_sum(pods: list[list[int]], stat: Stat) -> None:
    zero = (0.0, 0.0, 0.0, 0.0)
    sums = [tuple(np.cumsum(observed).astype(float).tolist()) for observed in pods]
    trails = [fed(reading(1.0, zero), reading(2.0, counts)) for counts in sums]
    together = tuple(np.sum(sums, axis=0).tolist())
    view = View(stat, 60)
    expected = of(fed(reading(1.0, zero), reading(2.0, together)), view)
    assert merged(trails, view) == pytest.approx(expected, nan_ok=True)


def world_of(count: int) -> World:
    world = World(*(serving_pod(f"llm-{n}") for n in range(count)))
    world.say = {f"llm-{n}": {"pending": 0.0} for n in range(count)}
    for n in range(count):
        observe(world, f"llm-{n}", 0.0)
    return world


def observe(world: World, name: str, count: float, bucket: int = 1) -> None:
    """So many requests of this pod's life took the time of one bucket."""
    counts = tuple(count if place >= bucket else 0.0 for place in range(4))
    world.counts[name] = {SERIES: (BOUNDS, counts)}


def test_a_pod_is_served_with_its_own_quantile() -> None:
    world = world_of(2)
    world.advance(2)
    observe(world, "llm-0", 10.0, bucket=0)
    observe(world, "llm-1", 10.0, bucket=2)
    world.advance(1)
    found = world.answer(QUEUE)
    assert found.milli == [95, 9550]
    assert found.taken_at == [WALL + 3, WALL + 3]
    assert found.window_seconds == 2  # from the first reading on


def test_an_idle_pod_is_absent_and_its_silence_is_not_held_against_the_others() -> None:
    world = world_of(4)
    world.advance(2)
    observe(world, "llm-0", 10.0)
    world.advance(1)
    assert set(world.values(QUEUE)) == {"llm-0"}
    assert world.merged(QUEUE) == pytest.approx(0.955)


def test_without_a_request_in_the_window_there_is_no_value_and_the_reason_in_words() -> None:
    world = world_of(2)
    world.advance(10)
    with pytest.raises(NoValue, match="no request was measured in the window of 60 s"):
        world.values(QUEUE)
    with pytest.raises(NoValue, match="no request was measured in the window of 60 s"):
        world.merged(QUEUE)


def test_a_latency_of_long_ago_is_no_latency() -> None:
    world = world_of(1)
    world.advance(2)
    observe(world, "llm-0", 10.0)
    world.advance(1)
    assert world.values(QUEUE) == {"llm-0": 0.955}
    world.advance(75)
    with pytest.raises(NoValue, match="no request was measured"):
        world.values(QUEUE)


def test_silent_pods_are_held_and_then_too_few_are_known() -> None:
    world = world_of(3)
    world.advance(2)
    for n in range(3):
        observe(world, f"llm-{n}", 10.0)
    world.advance(1)
    del world.say["llm-0"], world.say["llm-1"]
    world.advance(int(HOLD_SECONDS) - 10)
    assert set(world.values(QUEUE)) == {"llm-0", "llm-1", "llm-2"}
    observe(world, "llm-2", 90.0)
    world.advance(20)
    with pytest.raises(NoValue, match=r"known for 1 of 3 pods.*llm-0: no reading for 70 s"):
        world.merged(QUEUE)


def test_an_engine_without_the_histogram_is_told() -> None:
    world = world_of(1)
    world.counts = {}
    world.advance(10)
    with pytest.raises(NoValue, match="llm-0: its source does not read this"):
        world.values(QUEUE)
