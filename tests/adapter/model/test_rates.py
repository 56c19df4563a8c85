"""Counters become rates: no count is lost or made, and no spike comes of what is no load."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.batch import Batch, Column, ModelState, Origin, Reading, Totals
from adapter.model.rates import Meters, newest, past
from adapter.model.rings import FINE_SLOTS
from adapter.model.window import FrozenWindow, Window

ARRIVALS = "arrivals_per_second"
TOKENS = "output_tokens_per_second"


def reading(
    at: float,
    finished: float | None,
    queue: float | None = 0.0,
    *,
    tokens: float | None = None,
    whole: bool = True,
    life: str = "b",
    state: ModelState = ModelState.READY,
    uid: str = "u",
) -> Reading:
    totals = (Totals(at, finished, tokens, None, queue, whole),)
    return Reading(uid, at, 2.0, state, (), totals=totals, life=life)


class Meter:
    """One window with its meters, fed reading by reading."""

    def __init__(self) -> None:
        self.meters, self.window = Meters(), Window()

    def take(self, *readings: Reading) -> list[float]:
        """Return the new rates of the first pod, arrivals first."""
        spans = self.meters.measure(Batch(readings))
        self.window.append(Batch(readings), max(r.at for r in readings), spans)
        return [value for (uid, _), value in zip(spans.keys, spans.values, strict=True)]

    def minute(self, series: str = ARRIVALS) -> list[float]:
        frozen = self.window.freeze()
        return frozen.fine.of(np.array([frozen.rows["u", series]]), FINE_SLOTS)[0].tolist()


def test_arrivals_are_what_finished_and_what_the_queue_grew_by() -> None:
    meter = Meter()
    assert meter.take(reading(100.0, 50.0, 4.0)) == []
    assert meter.take(reading(102.0, 56.0, 8.0)) == [5.0]
    assert meter.take(reading(104.0, 60.0, 4.0)) == [0.0]


def test_tokens_per_second_are_the_counter_over_the_true_time() -> None:
    meter = Meter()
    meter.take(reading(100.0, None, None, tokens=1000.0))
    assert meter.take(reading(102.5, None, None, tokens=2000.0)) == [400.0]


@pytest.mark.parametrize(
    "after",
    [
        reading(102.0, 3.0, 9.0),  # the counter began again
        reading(102.0, 5000.0, 9.0, life="another"),  # the sidecar did
        reading(300.0, 5000.0, 9.0),  # a silence longer than the hold
    ],
)
def test_a_restart_and_a_gap_give_no_rate_and_then_the_true_one(after: Reading) -> None:
    meter = Meter()
    meter.take(reading(100.0, 1000.0, 20.0))
    assert meter.take(after) == []
    now = after.totals[0]
    assert now.finished is not None
    assert meter.take(reading(now.at + 2, now.finished + 8.0, 9.0, life=after.life)) == [4.0]


def test_a_model_that_loads_again_begins_anew_although_its_counter_has_overtaken() -> None:
    meter = Meter()
    meter.take(reading(100.0, 10.0))
    meter.take(Reading("u", 102.0, 2.0, ModelState.LOADING, (), life="b"))
    assert meter.take(reading(104.0, 500.0)) == []
    assert meter.take(reading(106.0, 502.0)) == [1.0]


def test_a_new_pod_brings_its_queue_and_no_arrivals() -> None:
    meter = Meter()
    meter.take(reading(100.0, 0.0), reading(100.0, 0.0, uid="v"))
    assert meter.take(reading(102.0, 4.0), reading(102.0, 900.0, 80.0, uid="w")) == [2.0]


def test_requests_that_were_given_up_make_no_negative_rate() -> None:
    meter = Meter()
    meter.take(reading(100.0, 10.0, 30.0))
    assert meter.take(reading(102.0, 10.0, 5.0)) == [0.0]
    assert meter.take(reading(104.0, 11.0, 6.0)) == [1.0]


def test_where_it_is_not_known_what_runs_a_request_is_counted_once() -> None:
    meter = Meter()
    said = [(0.0, 0.0), (0.0, 4.0), (0.0, 0.0), (0.0, 0.0), (4.0, 0.0), (4.0, 2.0)]
    rates = [
        meter.take(reading(100.0 + 2 * n, finished, queue, whole=False))
        for n, (finished, queue) in enumerate(said)
    ]
    assert rates == [[], [2.0], [0.0], [0.0], [0.0], [1.0]]


def test_frames_that_come_at_once_wait_for_a_time_to_divide_by() -> None:
    meter = Meter()
    meter.take(reading(100.0, 0.0))
    assert meter.take(reading(100.01, 100.0)) == []
    assert meter.take(reading(102.0, 104.0)) == [52.0]


def test_a_counter_that_jumps_beyond_any_server_gives_no_rate() -> None:
    meter = Meter()
    meter.take(reading(100.0, 0.0))
    assert meter.take(reading(102.0, 1e15)) == []
    assert meter.take(reading(104.0, 1e15 + 2)) == [1.0]


@pytest.mark.parametrize("origin", [Origin.NODE, Origin.HISTORY])
def test_what_others_say_of_a_pod_interrupts_no_count(origin: Origin) -> None:
    meter = Meter()
    meter.take(reading(100.0, 0.0))
    meter.take(Reading("u", 101.0, 2.0, ModelState.UNKNOWN, (), life="another", origin=origin))
    assert meter.take(reading(102.0, 6.0)) == [3.0]


def test_an_unknown_queue_gives_no_arrival_rate() -> None:
    meter = Meter()
    meter.take(reading(100.0, 5.0, None, tokens=10.0))
    assert meter.take(reading(102.0, 9.0, None, tokens=20.0)) == [5.0]  # of tokens alone


def test_pods_that_count_nothing_are_forgotten_too() -> None:
    meters = Meters()
    silent = Reading("w", 100.0, 2.0, ModelState.READY, (), life="b")
    meters.measure(Batch((silent, reading(100.0, 0.0))))
    meters.forget(("u",))
    assert set(meters._life) == set(meters._row_of) == {"u"}


def test_a_forgotten_pod_begins_anew() -> None:
    meter = Meter()
    meter.take(reading(100.0, 0.0))
    meter.meters.forget(())
    assert meter.take(reading(102.0, 50.0)) == []


def test_a_rate_is_spread_over_the_seconds_of_its_interval() -> None:
    meter = Meter()
    for at, finished in ((100.0, 0.0), (102.5, 5.0), (104.0, 6.5), (105.0, 10.5)):
        meter.take(reading(at, finished))
    # The second from 102 has half of each: 2.0 and 1.0 requests/s.
    assert meter.minute()[-6:-1] == [2.0, 2.0, 1.5, 1.0, 4.0]


@given(st.lists(st.tuples(st.floats(0.5, 5.0), st.floats(0, 200)), min_size=1, max_size=10))
def test_what_the_seconds_add_up_to_is_what_was_counted(steps: list[tuple[float, float]]) -> None:
    meter, at, finished = Meter(), 100.0, 0.0
    meter.take(reading(at, finished))
    for seconds, count in steps:
        at += seconds
        finished += count
        meter.take(reading(at, finished))
    at, last = float(int(at) + 1), finished
    meter.take(reading(at + 1.0, last))  # one idle second closes the last one under way
    whole = meter.minute()[:-2]
    counted = float(np.nansum(whole))
    # What came in the second under way is spread to its end by the idle reading.
    assert counted == pytest.approx(finished, rel=1e-3, abs=1e-3)


def test_idle_is_exactly_zero() -> None:
    meter = Meter()
    meter.take(reading(100.0, 7.3))
    for second in range(101, 240):
        meter.take(reading(second + 0.3, 7.3 if second < 110 else 19.7))
    assert set(meter.minute()) == {0.0}


@given(
    st.lists(
        st.tuples(
            st.floats(0, 3), st.floats(0, 2**53), st.floats(0, 1e6), st.booleans(), st.booleans()
        ),
        max_size=20,
    )
)
def test_whatever_a_tenant_counts_no_rate_is_negative_or_beyond_its_ceiling(
    said: list[tuple[float, float, float, bool, bool]],
) -> None:
    meter, at = Meter(), 100.0
    for seconds, finished, queue, whole, other_life in said:
        at += seconds
        life = "c" if other_life else "b"
        told = reading(at, finished, queue, tokens=finished, whole=whole, life=life)
        assert all(0 <= rate <= 1e7 for rate in meter.take(told))


def columns(**values: tuple[float | None, ...]) -> tuple[Column, ...]:
    return tuple(Column(series, 95.0, 10.0, column) for series, column in values.items())


def test_a_backlog_of_counters_becomes_rates_between_the_middles_of_its_steps() -> None:
    told = columns(
        finished_total=(0.0, 100.0, 150.0), inflight=(10.0, 30.0, 30.0), pending=(0.0, 9.0, 9.0)
    )
    assert past(told) == (Column(ARRIVALS, 90.0, 10.0, (12.0, 5.0)),)


def test_a_backlog_in_which_a_counter_fell_or_is_missing_has_no_rate_there() -> None:
    told = columns(
        finished_total=(900.0, 0.0, 20.0, None, 40.0), inflight=(5.0, 5.0, 5.0, 5.0, 5.0)
    )
    assert past(told)[0].values == (None, 2.0, None, None)
    tokens = columns(output_tokens_total=(900.0, 0.0, 20.0, None))
    assert past(tokens) == (Column(TOKENS, 90.0, 10.0, (None, 2.0, None)),)


def test_a_backlog_gives_the_first_frame_something_to_count_from() -> None:
    told = columns(finished_total=(0.0, 100.0), inflight=(10.0, 30.0))
    earlier = newest(told)
    assert earlier == Totals(95.0, 100.0, None, None, 30.0, whole=True)
    now = Totals(103.0, 140.0, None, None, 30.0)
    first = Reading("u", 103.0, 2.0, ModelState.READY, (), totals=(earlier, now), life="b")
    assert Meter().take(first) == [5.0]


def frozen_mean(frozen: FrozenWindow, seconds: int) -> float:
    return float(frozen.fine.of(np.array([frozen.rows["u", ARRIVALS]]), seconds).mean())


def test_heartbeats_alone_give_the_same_mean_as_a_frame_every_second() -> None:
    often, seldom = Meter(), Meter()
    for second in range(121):
        finished = 3.0 * second + (second > 60) * 4.0 * (second - 60)
        often.take(reading(100.0 + second, finished))
        if second % 2 == 0:
            seldom.take(reading(100.0 + second, finished))
    means = [frozen_mean(meter.window.freeze(), 30) for meter in (often, seldom)]
    assert means[0] == pytest.approx(means[1])
