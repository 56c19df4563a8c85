"""Object queries: what an answer says of objects, and a real Prometheus that lives and dies."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.objectqueries import MAX_SERIES, ObjectQueries, figures_of
from adapter.model.owners import DEPLOYMENT, SERVICE
from adapter.model.queried import Board, Figure, Key
from adapter.settings import ObjectQuery, Prometheus, Settings
from adapter.telemetry import Metrics
from tests.adapter.intake.scraping import answering, listening
from tests.adapter.intake.test_prometheus import prometheus, running
from tests.controlplane.processes import free_ports

QUERY = ObjectQuery("gateway_queue", "sum by (namespace, deployment) (queue)")
HOUR = 3600.0
QUERY_6 = ObjectQuery("gateway_queue", "vector6")
KEY = Key("gateway_queue", "Deployment.apps", "default", "llm")
HERE = {"namespace": "default", "deployment": "llm"}


def series(value: object, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [1_700_000_000.0, value]}


def test_each_series_is_the_value_of_the_object_that_its_labels_name() -> None:
    answer = [series("3", **HERE), series("0", namespace="default", deployment="b")]
    found, wrong = figures_of(answer, QUERY, DEPLOYMENT, 5.0)
    assert found == {KEY: Figure(3.0, 5.0), KEY._replace(name="b"): Figure(0.0, 5.0)}
    assert wrong == []


def test_a_namespace_and_a_name_of_the_setting_stand_in_for_labels() -> None:
    one = ObjectQuery("m", "q", kind="Service", namespace="default", name="gateway")
    found, wrong = figures_of([series("3")], one, SERVICE, 5.0)
    assert (list(found), wrong) == ([Key("m", "Service", "default", "gateway")], [])
    named = ObjectQuery("m", "q", name="llm")
    found, _ = figures_of([series("3", namespace="a", deployment="x")], named, DEPLOYMENT, 5.0)
    assert list(found) == [Key("m", "Deployment.apps", "a", "llm")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([series("3", deployment="llm")], "no label `namespace`: aggregate by (namespace, deploy"),
        ([series("3", namespace="default")], "no label `deployment`"),
        ([series("NaN", **HERE)], "`llm` is said to be nan, which is no measurement"),
        ([series("+Inf", **HERE)], "is said to be inf"),
        ([series("-1", **HERE)], "is said to be -1.0"),
        ([series("soon", **HERE)], "is said to be None"),
        ([series("1", **HERE), series("2", **HERE)], "several series for `llm`"),
        ([{"metric": 3, "value": []}], "no label `namespace`"),
        ([series("1", **HERE)] * 501, "namespace `default` has over 500 series and is left out"),
        ([series("1")] * 501, "namespace `` has over 500 series"),
        (
            [series("1", namespace=str(n // 500)) for n in range(MAX_SERIES + 1)],
            "the answer has 10001 series",
        ),
    ],
)
def test_what_is_no_value_of_one_object_is_told_and_is_none(
    answer: list[dict[str, Any]], words: str
) -> None:
    found, wrong = figures_of(answer, QUERY, DEPLOYMENT, 5.0)
    assert found == {}
    assert any(words in one for one in wrong), wrong


def test_a_tenant_with_too_many_series_is_left_out_alone() -> None:
    flood = [series("1", namespace="b", deployment=f"d{n}") for n in range(MAX_SERIES + 1)]
    found, wrong = figures_of([*flood, series("3", **HERE)], QUERY, DEPLOYMENT, 5.0)
    assert found == {KEY: Figure(3.0, 5.0)}
    assert len(wrong) == 1
    assert figures_of(flood[:-1], QUERY, DEPLOYMENT, 5.0)[1] == wrong  # told once: no count in it


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "metric": st.dictionaries(st.sampled_from(["namespace", "deployment"]), st.text()),
                "value": st.lists(st.one_of(st.none(), st.floats(), st.text()), max_size=3),
            },
        ),
        max_size=5,
    )
)
def test_whatever_is_answered_becomes_values_that_can_be_sent_or_words(answer: list[Any]) -> None:
    found, wrong = figures_of(answer, QUERY, DEPLOYMENT, 5.0)
    assert all(math.isfinite(one.value) and one.value >= 0 for one in found.values())
    assert len(found) + len(wrong) >= bool(answer)


def asking_settings(port: int, *queries: ObjectQuery, period_seconds: float = 1.0) -> Settings:
    url = f"http://127.0.0.1:{port}"
    asked = Prometheus(url=url, period_seconds=period_seconds, seconds=1.0, objects=queries)
    return Settings(prometheus=asked)


@asynccontextmanager
async def asking(
    port: int, *queries: ObjectQuery, period_seconds: float = 1.0
) -> AsyncIterator[ObjectQueries]:
    settings = asking_settings(port, *queries, period_seconds=period_seconds)
    made = ObjectQueries(settings, Metrics())
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(made: ObjectQueries, holds: Callable[[Board], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds(made.board):
        assert time.monotonic() < deadline, made.board
        await asyncio.sleep(0.05)


@pytest.mark.process
async def test_a_real_prometheus_answers_and_when_it_dies_the_last_value_grows_old(
    tmp_path: Path,
) -> None:
    page = '# TYPE queue gauge\nqueue{deployment="llm"} 4\nqueue{deployment="idle"} 0\n'

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=page)

    (port,) = free_ports(1)
    wrong = ObjectQuery("of_nobody", "sum(queue)")
    broken = ObjectQuery("broken", "sum(")
    async with (
        listening(answering(metrics)) as target,
        running(*prometheus(tmp_path, port, target)) as server,
        asking(port, QUERY, wrong, broken) as made,
    ):
        await until(made, lambda board: KEY in board.figures)
        await until(made, lambda board: ("broken", "Deployment.apps") in board.troubles)
        values = {key.name: one.value for key, one in made.board.figures.items()}
        assert values == {"llm": 4.0, "idle": 0.0}
        assert "parse error" in made.board.troubles["broken", "Deployment.apps"]
        assert "no label `namespace`" in made.board.troubles["of_nobody", "Deployment.apps"]
        server.kill()
        asked = (KEY.metric, KEY.kind)
        await until(made, lambda board: "ConnectionError" in board.troubles.get(asked, ""))
        last, rounds = made.board.figures[KEY], made.board.rounds
        await until(made, lambda board: board.rounds > rounds + 1)
        assert made.board.figures[KEY] == last


async def test_samples_are_looked_for_no_further_back_than_two_periods() -> None:
    given_: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        given_.append(dict(request.query))
        scalar = request.query["query"] == "time()"
        result = [5, "5.5"] if scalar else [series("2", **HERE)]
        return web.json_response({"status": "success", "data": {"result": result}})

    async with listening(answering(handler)) as port, asking(port, QUERY) as made:
        await until(made, lambda board: board.figures)
    assert given_[1] == {"query": QUERY.query, "time": "5.5", "lookback_delta": "2"}


async def test_the_first_query_of_an_object_counts_and_the_second_is_told() -> None:
    async def handler(request: web.Request) -> web.Response:
        asked = request.query["query"]
        result = [5, "5.5"] if asked == "time()" else [series(asked[-1], **HERE)]
        return web.json_response({"status": "success", "data": {"result": result}})

    second = ObjectQuery("gateway_queue", "vector7", name="llm")
    first = ObjectQuery("gateway_queue", "vector6")
    async with listening(answering(handler)) as port, asking(port, first, second) as made:
        await until(made, lambda board: board.rounds)
        assert made.board.figures[KEY].value == 6.0
        assert "answered by two queries" in made.board.troubles[KEY.metric, KEY.kind]


async def test_without_a_query_nobody_is_asked() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        return web.json_response({})

    async with listening(answering(handler)) as port, asking(port) as made:
        await asyncio.sleep(0.1)
        assert made.board == Board(period_seconds=1.0, hold_seconds=60.0)
    assert asked == []


async def test_changed_queries_are_asked_at_once_and_those_that_went_no_more() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        query = request.query["query"]
        asked.append(query)
        result = [5, "5.5"] if query == "time()" else [series(query[-1], **HERE)]
        return web.json_response({"status": "success", "data": {"result": result}})

    jobs = ObjectQuery("jobs", "vector7")
    async with listening(answering(handler)) as port, asking(port, period_seconds=HOUR) as made:
        for queries in ((QUERY_6,), (QUERY_6, jobs)):
            made.apply(asking_settings(port, *queries, period_seconds=HOUR))
            await until(made, lambda board: board.rounds, 10)
        assert {key.metric: one.value for key, one in made.board.figures.items()} == {
            "gateway_queue": 6.0,
            "jobs": 7.0,
        }
        made.apply(asking_settings(port, period_seconds=HOUR))
        assert (made.board.served, made.board.figures) == ((), {})
        asked.clear()
        made.apply(asking_settings(port, jobs, period_seconds=HOUR))
        await until(made, lambda board: board.figures, 10)
    assert asked == ["time()", "vector7"]


async def test_an_answer_to_queries_that_have_changed_meanwhile_is_nobodys() -> None:
    held, going_on = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        query = request.query["query"]
        if query == QUERY_6.query:
            held.set()
            await going_on.wait()
        result = [5, "5.5"] if query == "time()" else [series(query[-1], **HERE)]
        return web.json_response({"status": "success", "data": {"result": result}})

    other = ObjectQuery("gateway_queue", "vector7")
    async with (
        listening(answering(handler)) as port,
        asking(port, QUERY_6, period_seconds=HOUR) as made,
    ):
        await asyncio.wait_for(held.wait(), 10)
        made.apply(asking_settings(port, other, period_seconds=HOUR))
        going_on.set()
        await until(made, lambda board: board.rounds, 10)
        assert made.board.figures[KEY].value == 7.0
        assert made.board.rounds == 1
