"""The course keeps half an hour, and puts a forecast at the time that it is about."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.catalogue import METRICS
from adapter.model.course import AHEAD_STEPS, PAST_STEPS, STEP_SECONDS, Course, Story
from adapter.model.fleet import Owner
from adapter.model.foreseen import Foreseen, Mode
from adapter.model.overview import Row

START = 1_700_000_000.0  # a whole step
USUAL = Row(
    workload=("default", Owner("Deployment.apps", "llm")),
    replicas=3,
    served=2,
    held=0,
    loading=1,
    omitted=0,
    demand=METRICS["llm_inference_inflight_requests"],
    observed=10.0,
    smoothed=8.0,
    why=None,
    pending=2.0,
    gpu_percent=None,
    target=6.0,
    desired=2,
    foreseen=None,
    left=(),
)


def row(predicted: float | None = None, **changes: object) -> Row:
    foreseen = None
    if predicted is not None:
        foreseen = Foreseen(Mode.OBSERVE, 8, None, predicted, None, "", "")
    return msgspec.structs.replace(USUAL, foreseen=foreseen, **changes)


def points(story: Story, name: str) -> dict[float, float]:
    """What is known of one line, by seconds after START."""
    (line,) = (one for one in story.lines if one.name == name)
    known = zip(story.at, line.values, strict=True)
    return {at - START: value for at, value in known if value is not None}


def test_what_was_noted_stands_at_its_step() -> None:
    course = Course()
    course.note(row(), START + 1, 60.0)
    course.note(row(observed=20.0, smoothed=None, replicas=4), START + 7, 60.0)
    story = course.story()
    assert (story.unit, story.now, story.serves_at) == ("requests", START + 5, START + 65)
    assert points(story, "last readings") == {0: 10, 5: 20}
    assert points(story, "smoothed") == {0: 8}
    assert points(story, "pods") == {0: 3, 5: 4}
    assert points(story, "target") == {0: 12, 5: 12}
    assert points(story, "forecast") == {}


def test_a_forecast_stands_at_the_time_that_it_is_about() -> None:
    course = Course()
    for step in range(30):
        course.note(row(predicted=100.0 + step), START + step * STEP_SECONDS, 60.0)
    found = points(course.story(), "forecast")
    assert found[60] == 100
    assert found[145 + 60] == 129
    assert max(course.story().at) > START + 145 + 60


def test_seconds_that_nobody_noted_are_a_gap() -> None:
    course = Course()
    course.note(row(), START, None)
    course.note(row(), START + 20, None)
    assert list(points(course.story(), "pods")) == [0, 20]


def test_another_demand_or_a_clock_set_back_begins_anew() -> None:
    course = Course()
    course.note(row(), START, None)
    course.note(row(demand=METRICS["nvidia_gpu_utilization"]), START + 5, None)
    assert course.story().unit == "percent"
    assert list(points(course.story(), "pods")) == [5]
    course.note(row(demand=METRICS["nvidia_gpu_utilization"]), START - 300, None)
    assert list(points(course.story(), "pods")) == [-300]


def test_half_an_hour_is_kept_and_no_more() -> None:
    course = Course()
    for step in range(2 * PAST_STEPS):
        course.note(row(), START + step * STEP_SECONDS, None)
    kept = list(points(course.story(), "pods"))
    assert len(kept) == PAST_STEPS
    assert kept[-1] == (2 * PAST_STEPS - 1) * STEP_SECONDS


def test_a_horizon_beyond_the_ring_is_told_and_its_forecast_left_out() -> None:
    course = Course()
    course.note(row(predicted=5.0), START, 10_000.0)
    story = course.story()
    assert story.serves_at == START + 10_000
    assert points(story, "forecast") == {}
    assert len(story.at) <= PAST_STEPS + AHEAD_STEPS


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4_000),
            st.floats(0, 4_000),
            st.one_of(st.none(), st.floats(0, 1e6, width=32)),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_every_step_has_its_last_word_or_none(
    looks: list[tuple[int, float, float | None]],
) -> None:
    course, now, told = Course(), START, dict[float, float | None]()
    for pause, ahead, value in looks:
        if pause + now % STEP_SECONDS >= (PAST_STEPS + AHEAD_STEPS) * STEP_SECONDS:
            told.clear()
        now += pause
        course.note(row(observed=value, predicted=1.0), now, ahead)
        told[now // STEP_SECONDS * STEP_SECONDS - START] = value
    story = course.story()
    assert list(story.at) == sorted(story.at)
    assert {len(line.values) for line in story.lines} == {len(story.at)}
    oldest = story.now - START - (PAST_STEPS - 1) * STEP_SECONDS
    wanted = {at: round(v, 2) for at, v in told.items() if v is not None and at >= oldest}
    assert points(story, "last readings") == wanted
