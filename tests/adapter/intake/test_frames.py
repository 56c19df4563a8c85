"""A frame becomes a Reading: what is no measurement is left out and counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.frames import reading
from adapter.model.batch import Batch, Buckets, Column, ModelState, Reading, Totals
from adapter.model.catalogue import CEILINGS
from adapter.model.latency import Trails
from adapter.model.rates import Meters
from adapter.model.window import Window
from sidecar import wire


def frame(**changes: object) -> wire.Frame:
    fields: dict[str, object] = {
        "schema": 1,
        "boot": "b",
        "seq": 1,
        "uid": "u",
        "period_seconds": 2.0,
        "age_seconds": wire.Ages(engine=0.5, gpu=1.5),
    }
    return wire.Frame(**(fields | changes))  # type: ignore[arg-type]


def engine(**changes: object) -> wire.EngineReading:
    fields: dict[str, object] = {"kind": "vllm", "state": wire.EngineState.READY}
    return wire.EngineReading(**(fields | changes))  # type: ignore[arg-type]


def read(sent: wire.Frame) -> tuple[Reading, list[str]]:
    dropped: list[str] = []
    return reading(sent, "u", 100.0, lambda series, _: dropped.append(series)), dropped


def levels(found: Reading) -> dict[str, float]:
    """Return the levels without the most and the least of several GPUs."""
    named = {point.series: point.value for point in found.points}
    return {name: one for name, one in named.items() if not name.endswith(("_max", "_min"))}


def test_ages_become_times_of_this_clock() -> None:
    gpu = wire.GpuReading(uuid="GPU-1", busy_percent=50.0)
    found, dropped = read(frame(engine=engine(pending=3.0, running=2.0), gpus=(gpu,)))
    assert {(p.series, p.at, p.value) for p in found.points} == {
        ("pending", 99.5, 3.0),
        ("running", 99.5, 2.0),
        ("inflight", 99.5, 5.0),
        ("gpu_busy_percent", 98.5, 50.0),
    }
    assert dropped == []


@pytest.mark.parametrize("value", [-1.0, 2e6])
def test_a_figure_that_is_no_measurement_is_left_out_and_counted(value: float) -> None:
    found, dropped = read(frame(engine=engine(pending=value, kv_percent=40.0)))
    assert [p.series for p in found.points] == ["kv_percent"]
    assert dropped == ["pending"]


def test_figures_without_an_age_are_left_out() -> None:
    found, dropped = read(frame(engine=engine(pending=1.0), age_seconds=None))
    assert found.points == ()
    assert dropped == ["pending"]


def test_a_failing_engine_gives_no_points_but_its_words() -> None:
    told = engine(state=wire.EngineState.FAILING, why="404 at /metrics", pending=9.0)
    found, _ = read(frame(engine=told))
    assert found.points == ()
    assert found.model is ModelState.FAILING
    assert found.why == {"engine": "404 at /metrics"}


@pytest.mark.parametrize("period", [0.0, -1.0, 1e9])
def test_a_period_that_would_outwit_the_freshness_rule_is_refused(period: float) -> None:
    with pytest.raises(wire.WireError, match="period_seconds"):
        read(frame(period_seconds=period))


def test_two_wrong_figures_do_not_make_a_right_looking_one() -> None:
    gpus = (wire.GpuReading("a", -50.0), wire.GpuReading("b", 90.0))
    found, dropped = read(frame(engine=engine(pending=-7.0, running=8.0), gpus=gpus))
    assert levels(found) == {"running": 8.0, "gpu_busy_percent": 90.0}
    assert sorted(dropped) == ["gpu_busy_percent", "pending"]
    assert found.why["pending"] == "its source says -7, which is no measurement"


def test_a_tenants_words_are_cut() -> None:
    told = engine(state=wire.EngineState.FAILING, why="x" * 200_000)
    found, _ = read(frame(engine=told))
    assert len(found.why["engine"]) == 200


def test_what_was_read_while_the_model_was_loading_is_no_history() -> None:
    past = wire.Backlog(10.0, 0.0, {"gpu_busy_percent": (0.0, 0.0, 90.0, 91.0)})
    ready = wire.Phases(engine_first_ready_age_seconds=25.0)
    found, _ = read(frame(engine=engine(), backlog=past, phases=ready))
    assert [column.values for column in found.history] == [(90.0, 91.0)]
    loading = engine(state=wire.EngineState.LOADING)
    assert read(frame(engine=loading, backlog=past, phases=wire.Phases()))[0].history == ()


def test_a_backlog_without_end_is_cut_to_fifteen_minutes() -> None:
    past = wire.Backlog(10.0, 0.0, {"gpu_busy_percent": tuple([50.0] * 5000)})
    found, _ = read(frame(backlog=past))
    assert len(found.history[0].values) == 90


def test_the_backlog_becomes_columns_of_what_is_a_measurement() -> None:
    told = {"pending": (1.0, None, -3.0, 4.0), "of_a_newer_sidecar": (1.0,)}
    found, _ = read(frame(backlog=wire.Backlog(10.0, 2.0, told)))
    assert found.history == (Column("pending", 93.0, 10.0, (1.0, None, None, 4.0)),)


def test_a_sum_over_gpus_is_absent_while_one_gpu_declines() -> None:
    gpus = (
        wire.GpuReading("a", 50.0, 10, 100, 300.0),
        wire.GpuReading("b", 70.0, None, None, None),
    )
    found, _ = read(frame(gpus=gpus))
    assert levels(found) == {
        "gpu_busy_percent": 60.0,
        "gpu_memory_percent": 10.0,
    }


def test_counters_come_with_the_time_of_their_reading_and_the_queue_of_it() -> None:
    found, _ = read(
        frame(engine=engine(pending=3.0, running=2.0, finished_total=50.0, output_tokens_total=9e3))
    )
    assert found.totals == (Totals(99.5, 50.0, 9000.0, None, 5.0, whole=True),)
    assert found.life == "b"
    alone, _ = read(frame(engine=engine(pending=3.0, finished_total=50.0)))
    assert alone.totals == (Totals(99.5, 50.0, None, None, 3.0, whole=False),)


def test_a_counter_that_is_no_measurement_is_left_out_and_counted() -> None:
    found, dropped = read(frame(engine=engine(finished_total=-1.0, output_tokens_total=1e300)))
    assert found.totals == ()
    assert sorted(dropped) == ["finished_total", "output_tokens_total"]


def test_counters_without_an_age_or_of_a_failing_engine_are_left_out() -> None:
    assert read(frame(engine=engine(finished_total=5.0), age_seconds=None))[0].totals == ()
    failing = engine(state=wire.EngineState.FAILING, finished_total=5.0)
    assert read(frame(engine=failing))[0].totals == ()


def test_the_counters_of_a_backlog_become_rates_and_the_first_totals() -> None:
    told = {"finished_total": (100.0, 150.0), "inflight": (4.0, 4.0)}
    sent = frame(
        engine=engine(pending=1.0, running=3.0, finished_total=160.0),
        backlog=wire.Backlog(10.0, 2.0, told),
        phases=wire.Phases(engine_first_ready_age_seconds=500.0),
    )
    found, _ = read(sent)
    assert Column("arrivals_per_second", 88.0, 10.0, (5.0,)) in found.history
    assert {column.series for column in found.history} == {"inflight", "arrivals_per_second"}
    assert [totals.at for totals in found.totals] == [93.0, 99.5]


def test_a_histogram_and_the_dimensions_of_the_engine_are_taken() -> None:
    hist = {"queue_time_seconds": wire.Histogram((0.1,), (1.0, 2.0))}
    dims = {"model": "m" * 5000, "of_a_newer_sidecar": "x"}
    found, dropped = read(frame(engine=engine(hist=hist, dims=dims)))
    assert found.buckets == {"queue_time_seconds": Buckets(99.5, (0.1,), (1.0, 2.0))}
    assert {key: len(value) for key, value in found.dims.items()} == {"model": 1024}
    assert dropped == []
    broken = {"queue_time_seconds": wire.Histogram((0.1,), (2.0, 1.0))}
    found, dropped = read(frame(engine=engine(hist=broken)))
    assert dropped == ["queue_time_seconds"]
    assert found.why == {"queue_time_seconds": "the counts of its histogram do not add up"}


def test_activity_and_health_of_the_gpus_become_points() -> None:
    well = wire.GpuReading("a", tensor_percent=60.0, dram_percent=30.0, healthy=True)
    lost = wire.GpuReading("b", dram_percent=120.0, healthy=False)
    found, dropped = read(frame(gpus=(well, lost)))
    assert levels(found) == {
        "gpu_tensor_percent": 60.0,
        "gpu_dram_percent": 30.0,
        "gpu_health": 0.0,
    }
    assert dropped == ["gpu_dram_percent"]


@given(
    st.sampled_from(["pending", "running", "kv_percent"]),
    st.floats(allow_nan=True, allow_infinity=True),
)
def test_no_float_gets_through_that_is_not_a_measurement(series: str, value: float) -> None:
    found, _ = read(frame(engine=engine(**{series: value})))
    for point in found.points:
        assert 0 <= point.value <= CEILINGS[point.series]


@pytest.mark.parametrize(
    ("step_seconds", "age_seconds"),
    [(0.0, 1.0), (5e-324, 1.0), (0.1, 1.0), (1e6, 1.0), (1e300, 1.0), (10.0, -1.0), (10.0, 1e300)],
)
def test_a_past_that_the_window_cannot_hold_is_left_out(
    step_seconds: float, age_seconds: float
) -> None:
    past = wire.Backlog(step_seconds, age_seconds, {"pending": (1.0,), "finished_total": (1.0,)})
    told = frame(
        engine=engine(pending=3.0),
        backlog=past,
        phases=wire.Phases(engine_first_ready_age_seconds=1e300),
    )
    found, dropped = read(told)
    assert (found.history, len(found.totals), dropped) == ((), 0, ["backlog"])
    assert [point.value for point in found.points] == [3.0]


def test_a_number_of_four_hundred_digits_is_no_measurement() -> None:
    gpu = wire.GpuReading("GPU-1", 50.0, memory_used_bytes=10**400, memory_total_bytes=10**400)
    found, dropped = read(frame(gpus=(gpu,)))
    assert [point.series for point in found.points] == ["gpu_busy_percent"]
    assert dropped == ["gpu_memory_used_bytes"]


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, numbers, numbers, numbers, st.lists(st.none() | numbers, max_size=100))
def test_whatever_a_frame_says_the_next_tick_of_all_workloads_survives_it(
    age: float, step: float, ended: float, ready: float, column: list[float | None]
) -> None:
    window, meters, trails = Window(), Meters(), Trails()
    values = tuple(column)
    hist = wire.Histogram(bounds=(1.0, abs(step)), counts=(0.0, 1.0, abs(age)))
    told = frame(
        engine=engine(pending=1.0, finished_total=abs(ended), hist={"queue_time_seconds": hist}),
        age_seconds=wire.Ages(engine=age, gpu=age),
        backlog=wire.Backlog(step, ended, {"pending": values, "finished_total": values}),
        phases=wire.Phases(engine_first_ready_age_seconds=ready),
    )
    for now in (100.0, 101.0):
        batch = Batch((reading(told, "u", now, lambda *_: None),))
        window.append(batch, now, meters.measure(batch))
        trails.take(batch)
    assert window.freeze().second == 101


def test_what_is_wrong_with_each_of_the_gpus_is_told() -> None:
    gpus = (
        wire.GpuReading("GPU-1", why="NVML lost this GPU"),
        wire.GpuReading("GPU-2", busy_percent=40.0),
    )
    found, _ = read(frame(gpus=gpus, attribution=wire.Attribution(how="gpu-uuids", why="mounted")))
    assert found.why["gpu"] == "GPU-1: NVML lost this GPU"
    found, _ = read(frame(attribution=wire.Attribution(why="no proof which GPUs are this pod's")))
    assert found.why["gpu"] == "no proof which GPUs are this pod's"
