"""Several GPUs of a pod: how many tell a figure, the most and the least, and those not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake import frames
from adapter.intake.gpus import MEANS_ALONE, beyond, counted, of, of_means, spread, whole
from adapter.model.batch import ModelState, Point, Reading
from adapter.model.fleet import Pod
from adapter.model.holding import Holding
from adapter.model.word import NO_GPUS, Gpus
from sidecar.wire import Ages, Frame, GpuReading

ASKS_FOR_TWO = Pod("u", "default", "llm-0", {}, gpus={"model": 2})


def test_of_several_gpus_those_without_a_figure_are_counted() -> None:
    whole = GpuReading("a", 50.0, 10, 100, 300.0, healthy=True)
    no_power = GpuReading("b", 50.0, 10, 0, None, healthy=True)
    found = counted((whole, no_power, GpuReading("c")))
    assert found == Gpus(
        3,
        {
            "gpu_busy_percent": 1,
            "gpu_memory_percent": 2,
            "gpu_memory_used_bytes": 2,
            "gpu_power_watts": 2,
            "gpu_health": 1,
        },
    )
    assert found.share("gpu_busy_percent") == "2 of 3 GPUs"
    assert found.share("gpu_tensor_percent") is None  # none of them has it: no part is missing
    assert counted(None) is counted(()) is NO_GPUS


def test_the_most_and_the_least_are_those_of_the_gpus_that_tell() -> None:
    found = (GpuReading("a", 90.0, 10, 100), GpuReading("b", 20.0, 95, 100), GpuReading("c"))
    assert set(spread(found, 7.0)) == {
        Point("gpu_busy_percent_max", 7.0, 90.0),
        Point("gpu_busy_percent_min", 7.0, 20.0),
        Point("gpu_memory_percent_max", 7.0, 95.0),
        Point("gpu_memory_percent_min", 7.0, 10.0),
    }


def test_one_gpu_and_figures_of_no_known_age_have_no_spread() -> None:
    assert list(spread((GpuReading("a", 90.0),), 7.0)) == []
    assert list(spread((GpuReading("a", 90.0), GpuReading("b", 1.0)), None)) == []


@given(st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=5))
def test_no_figure_that_is_no_measurement_gets_into_a_spread(busy: list[float | None]) -> None:
    found = tuple(GpuReading(str(n), one) for n, one in enumerate(busy))
    assert all(0 <= point.value <= 100 for point in spread(found, 7.0))


def test_a_gpu_that_the_pod_asks_for_and_nobody_shows_has_a_blank() -> None:
    shown = (GpuReading("a", 90.0),)
    assert whole(shown, ASKS_FOR_TWO) == (*shown, GpuReading(""))
    assert counted(whole(shown, ASKS_FOR_TWO)).share("gpu_busy_percent") == "1 of 2 GPUs"
    assert whole((), ASKS_FOR_TWO) == ()  # none is shown at all: that has a reason of its own


def test_a_sum_of_fewer_gpus_than_the_pod_asks_for_is_none_and_the_mean_is_theirs() -> None:
    gpus = (GpuReading("a", 90.0, power_watts=300.0),)
    sent = Frame(schema=1, boot="b", seq=1, period_seconds=2.0, gpus=gpus, age_seconds=Ages(gpu=0))
    found = frames.reading(of(sent, ASKS_FOR_TWO), "u", 7.0, lambda *_: None)
    assert found.points[0] == Point("gpu_busy_percent", 7.0, 90.0)
    assert "gpu_power_watts" not in {point.series for point in found.points}
    assert found.gpus.share("gpu_power_watts") == "1 of 2 GPUs"


def test_of_several_gpus_in_prometheus_the_mean_alone_is_known_and_that_is_said() -> None:
    points = (Point("gpu_busy_percent", 7.0, 90.0), Point("pending", 7.0, 1.0))
    told = Reading("u", 7.0, 15.0, ModelState.READY, points)
    assert of_means(told, ASKS_FOR_TWO).why == {"gpu_busy_percent": MEANS_ALONE}
    assert of_means(told, Pod("u", "default", "llm-0", {})).why == {}


@pytest.mark.parametrize(
    "holding", [Holding(sharing="time-slicing"), Holding(sharing_allowed=True)]
)
def test_a_replica_of_a_shared_gpu_is_no_gpu_that_is_missing(holding: Holding) -> None:
    pod = Pod("u", "default", "llm-0", {}, gpus={"model": 2}, holding=holding)
    shown = (GpuReading("a", 90.0),)
    assert whole(shown, pod) == shown
    marked = (GpuReading("a", 90.0, shared=True),)
    assert whole(marked, ASKS_FOR_TWO) == marked


def gpus(*uuids: str) -> tuple[GpuReading, ...]:
    return tuple(GpuReading(uuid, 50.0) for uuid in uuids)


@pytest.mark.parametrize(
    ("found", "holding", "refused"),
    [
        (gpus("a", "b"), Holding(requested=1), True),
        (gpus("a", "b"), Holding(requested=2), False),
        (gpus("a"), Holding(requested=2), False),
        (gpus("a/1", "a/2"), Holding(requested=1), True),  # nvidia.com/gpu is a MIG instance there
        (
            gpus("a", "b/1"),
            Holding(requested=1),
            False,
        ),  # and the instance by a resource of its own
        (gpus("a", "b"), Holding(), False),  # it asks by another name
        (gpus("a", "b"), Holding(requested=1, claims=("nic",)), False),
        (gpus("a", "b"), Holding(requested=1, sharing="time-slicing"), False),
        (gpus("a", "b"), Holding(requested=1, sharing_allowed=True), False),
    ],
)
def test_more_gpus_than_a_pod_asks_for_are_refused_where_what_it_asks_for_is_a_bound(
    found: tuple[GpuReading, ...],
    holding: Holding,
    refused: bool,  # noqa: FBT001 - a column
) -> None:
    assert (beyond(found, Pod("u", "default", "llm-0", {}, holding=holding)) is not None) is refused
