"""Prometheus' answers: figures with their ages, pasts since a pod was ready, and no nonsense."""

import math

from hypothesis import given
from hypothesis import strategies as st

from adapter.intake import answers
from adapter.intake.answers import PAST_SECONDS, STEP_SECONDS, Sampled
from adapter.intake.frames import reading
from sidecar.wire import EngineState
from tests.adapter.model.world import serving_pod

NOW = 1_700_000_000.0


def points(figures: dict[str, Sampled]) -> dict[str, tuple[float, float]]:
    """Return the value and the age of each series of a reading received at 1000."""
    found = reading(answers.frame(figures, 15.0), "u1", 1000.0, lambda *_: None)
    return {p.series: (p.value, 1000.0 - p.at) for p in found.points}


def test_each_part_is_as_old_as_its_oldest_figure() -> None:
    found = points(
        {
            "pending": Sampled(3.0, 5.0),
            "running": Sampled(2.0, 12.0),
            "kv_ratio": Sampled(0.5, 5.0),
            "busy_percent": Sampled(90.0, 7.0),
        }
    )
    assert found == {
        "pending": (3.0, 12.0),
        "running": (2.0, 12.0),
        "inflight": (5.0, 12.0),
        "kv_percent": (50.0, 12.0),
        "gpu_busy_percent": (90.0, 7.0),
    }


def test_gpus_alone_say_nothing_of_a_model_server() -> None:
    frame = answers.frame({"busy_percent": Sampled(90.0, 7.0)}, 15.0)
    assert frame.engine is None
    assert frame.age_seconds is not None
    assert frame.age_seconds.engine is None


def test_a_model_server_not_heard_for_two_periods_is_failing_in_words() -> None:
    frame = answers.frame({"pending": Sampled(3.0, 31.0)}, 15.0)
    assert frame.engine is not None
    assert frame.engine.state is EngineState.FAILING
    assert frame.engine.why == "Prometheus has had no sample of it for 31 s"


def test_figures_that_are_none_are_left_out() -> None:
    nan, inf = Sampled(math.nan, 1.0), Sampled(math.inf, 1.0)
    assert points({"pending": nan, "running": Sampled(2.0, 1.0)}) == {"running": (2.0, 1.0)}
    assert points({"busy_percent": inf, "used_bytes": nan, "total_bytes": inf}) == {}


def past(figures: dict[str, dict[int, float]], ready_ago: float) -> dict[str, list[float | None]]:
    pod = serving_pod("llm-0", ready_changed_at=NOW - ready_ago, model_started_at=NOW - 1000)
    found = answers.columns(figures, pod, NOW, 5000.0)
    return {column.series: list(column.values) for column in found}


def steps(value: float) -> dict[int, float]:
    return {int(NOW) - k * STEP_SECONDS: value for k in range(PAST_SECONDS // STEP_SECONDS + 1)}


def test_the_past_is_in_steps_of_the_window_up_to_now() -> None:
    pod = serving_pod("llm-0", ready_changed_at=NOW - 900, model_started_at=NOW - 1000)
    (column,) = answers.columns({"pending": steps(3.0)}, pod, NOW, 5000.0)
    assert (column.series, column.step_seconds, column.newest_at) == ("pending", 10, 4995.0)
    assert column.values == (3.0,) * 61


def test_what_was_before_a_pod_was_ready_is_not_its_past() -> None:
    values = past({"pending": steps(3.0)}, ready_ago=100)["pending"]
    assert values[:51] == [None] * 51
    assert values[51:] == [3.0] * 10


def test_a_gap_stays_a_gap_and_a_sum_needs_both_parts() -> None:
    running = steps(2.0)
    del running[int(NOW)]
    found = past({"pending": steps(3.0), "running": running}, ready_ago=900)
    assert found["inflight"] == [5.0] * 60 + [None]
    assert found["running"][-1] is None


def test_a_pod_that_does_not_serve_has_no_past_to_fill_in() -> None:
    loading = serving_pod("llm-0", model_ready=False, model_started_at=NOW, ready_changed_at=NOW)
    assert list(answers.columns({"pending": steps(3.0)}, loading, NOW, 5000.0)) == []


TEXT = st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(metric=JSON, value=JSON, values=st.lists(JSON, max_size=4) | JSON)
def test_whatever_an_answer_holds_reading_it_never_raises(
    metric: object, value: object, values: object
) -> None:
    series = {"metric": metric, "value": value, "values": values}
    assert answers.holder(series) is None or isinstance(metric, dict)
    assert answers.last(series) is None or isinstance(value, list)
    assert all(isinstance(at, int) for at, _ in answers.steps(series))
