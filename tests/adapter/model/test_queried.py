"""Metrics that are queries, as timelines: the last answer is served until the hold, never 0."""

import pytest
from msgspec import structs

from adapter.errors import NotFound, NoValue
from adapter.model.owners import DEPLOYMENT, KNOWN, SERVICE
from adapter.model.queried import (
    FORGET_HOLDS,
    MAX_OF_METRIC,
    MAX_OF_NAMESPACE,
    NOTHING,
    Board,
    Figure,
    Key,
)
from adapter.settings import ObjectQuery, Prometheus
from tests.adapter.model.world import START, WALL, World

QUEUE = Key("gateway_queue", "Deployment.apps", "default", "llm")
ASKED = ("gateway_queue", "Deployment.apps")
SETTINGS = Prometheus(
    period_seconds=15.0,
    objects=(
        ObjectQuery("gateway_queue", "q"),
        ObjectQuery("gateway_queue", "r", name="other"),
        ObjectQuery("gateway_queue", "s", kind="Service"),
    ),
)
HOLD = 60.0
BOARD = Board.of(SETTINGS, KNOWN, HOLD)


def answered(value: float = 3.0, at: float = START) -> Board:
    return BOARD.after({QUEUE: Figure(value, at)}, {}, at)


def test_a_metric_is_served_for_the_kinds_of_its_queries_each_once() -> None:
    assert BOARD.served == (("gateway_queue", DEPLOYMENT), ("gateway_queue", SERVICE))
    assert BOARD.kinds("gateway_queue") == (DEPLOYMENT, SERVICE)
    assert BOARD.kinds("nvidia_gpu_utilization") == NOTHING.kinds("gateway_queue") == ()


def test_a_prometheus_that_dies_is_a_held_value_then_an_error_and_never_zero() -> None:
    board = answered()
    for seconds in range(15, 61, 15):
        board = board.after({}, {ASKED: "Prometheus: gone"}, START + seconds)
        assert board.figure(QUEUE, START + seconds, HOLD).value == 3.0
    with pytest.raises(NoValue, match="no value for 61 s: Prometheus: gone"):
        board.figure(QUEUE, START + 61, HOLD)


def test_an_object_that_the_answer_lacks_is_silent_and_not_zero() -> None:
    board = answered().after({}, {}, START + 15)
    assert board.figure(QUEUE, START + 60, HOLD).value == 3.0
    with pytest.raises(NoValue, match="the query's answer has no series for it"):
        board.figure(QUEUE, START + 61, HOLD)


def test_a_zero_that_was_answered_is_a_value() -> None:
    assert answered(0.0).figure(QUEUE, START + 1, HOLD).value == 0.0


def test_a_slow_period_is_held_for_four_of_them() -> None:
    board = structs.replace(answered(), period_seconds=30.0)
    assert board.figure(QUEUE, START + 120, HOLD).value == 3.0
    with pytest.raises(NoValue):
        board.figure(QUEUE, START + 121, HOLD)


def test_before_the_first_answer_there_is_no_value_and_then_an_unknown_object_is_not_found() -> (
    None
):
    with pytest.raises(NoValue, match="Prometheus was not asked yet"):
        BOARD.figure(QUEUE, START, HOLD)
    with pytest.raises(NoValue, match="Prometheus: gone"):
        BOARD.after({}, {ASKED: "Prometheus: gone"}, START).figure(QUEUE, START, HOLD)
    with pytest.raises(NotFound, match="gateway_queue of Deployment `llm` in namespace `default`"):
        BOARD.after({}, {}, START).figure(QUEUE, START, HOLD)


def test_what_is_gone_for_some_holds_is_forgotten() -> None:
    assert answered().after({}, {}, START + FORGET_HOLDS * HOLD).figures
    assert not answered().after({}, {}, START + FORGET_HOLDS * HOLD + 1).figures


def test_new_names_in_every_round_push_out_their_own_namespaces_old_ones_alone() -> None:
    board = answered()
    for n in range(10):
        names = (QUEUE._replace(namespace="b", name=f"{n}-{i}") for i in range(400))
        now = START + n
        board = board.after(dict.fromkeys(names, Figure(1.0, now)), {}, now)
    assert board.figures[QUEUE].value == 3.0
    assert len(board.figures) == MAX_OF_NAMESPACE + 1
    assert QUEUE._replace(namespace="b", name="9-0") in board.figures


def test_many_rounds_of_new_names_in_new_namespaces_keep_a_bounded_number() -> None:
    board = BOARD
    for n in range(30):
        names = (QUEUE._replace(namespace=f"{n}", name=f"{i}") for i in range(MAX_OF_NAMESPACE))
        board = board.after(dict.fromkeys(names, Figure(1.0, START + n)), {}, START + n)
    assert len(board.figures) == MAX_OF_METRIC


def test_an_answer_has_the_time_of_its_question_and_all_objects_that_are_held() -> None:
    snapshot = World().advance(100)
    now = START + 100.0
    figures = {
        QUEUE: Figure(2.5, now - 10),
        QUEUE._replace(name="b"): Figure(1e300, now),
        QUEUE._replace(name="gone"): Figure(1.0, now - 61),
        QUEUE._replace(namespace="other"): Figure(1.0, now),
        QUEUE._replace(kind="Service"): Figure(1.0, now),
    }
    board = BOARD.after(figures, {}, now)
    one = board.answer(QUEUE, snapshot, now)
    assert (one.names, one.milli, one.taken_at) == (["llm"], [2500], [WALL + 90])
    every = board.answer(QUEUE._replace(name="*"), snapshot, now)
    assert (every.names, every.milli) == (["b", "llm"], [9 * 10**15, 2500])
    assert board.answer(QUEUE._replace(namespace="x", name="*"), snapshot, now).names == []


def test_other_queries_keep_what_is_known_of_a_metric_whose_queries_stay() -> None:
    jobs = QUEUE._replace(metric="jobs")
    first, jobs_query = ObjectQuery("gateway_queue", "q"), ObjectQuery("jobs", "j")
    before = Prometheus(objects=(first, jobs_query))
    board = Board.of(before, KNOWN, HOLD).after(
        {QUEUE: Figure(3.0, START), jobs: Figure(9.0, START)}, {ASKED: "late"}, START
    )
    after = Prometheus(objects=(first, ObjectQuery("jobs", "another"), ObjectQuery("new", "n")))
    found = board.going_by(before, after, KNOWN, HOLD)
    assert [metric for metric, _ in found.served] == ["gateway_queue", "jobs", "new"]
    assert found.figure(QUEUE, START, HOLD).value == 3.0
    assert found.troubles == {ASKED: "late"}
    for key in (jobs, QUEUE._replace(metric="new")):
        with pytest.raises(NoValue, match="Prometheus was not asked yet"):
            found.figure(key, START, HOLD)
    assert board.going_by(before, Prometheus(), KNOWN, HOLD).figures == {}
