"""Owns the proof of where a model server's page is looked for, and in which order."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from sidecar import search, table
from sidecar.row import Row


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.kind)
def test_a_named_engine_has_one_page_and_its_own_hint(row: Row) -> None:
    (candidate,) = search.named(row, None)
    assert candidate.url == f"http://127.0.0.1:{row.port}{row.path}"
    assert (candidate.rows, candidate.hint) == ((row,), row.hint)
    (elsewhere,) = search.named(row, "http://127.0.0.1:9/x")
    assert (elsewhere.url, elsewhere.rows) == ("http://127.0.0.1:9/x", (row,))


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (None, ["http://127.0.0.1:8000/v2/health/ready", "http://127.0.0.1:8002/v2/health/ready"]),
        ("http://[::1]:8000/metrics", ["http://[::1]:8000/v2/health/ready"]),
        ("https://127.0.0.1:8002/metrics", []),  # a token would be missing, or go elsewhere
    ],
)
def test_readiness_is_asked_of_the_pages_own_host_without_a_token(
    url: str | None, asked: list[str]
) -> None:
    (candidate,) = search.named(table.TRITON, url)
    assert list(candidate.ready) == asked


def test_what_serves_the_usual_port_says_nothing_of_a_server_that_has_moved_with_its_page() -> None:
    (candidate,) = search.named(table.VLLM, "http://127.0.0.1:8001/metrics")
    assert candidate.ready == ("http://127.0.0.1:8001/health",)


@pytest.mark.parametrize(
    "row", [table.SGLANG, table.DYNAMO, table.RAY], ids=lambda row: str(row.kind)
)
def test_readiness_is_not_asked_where_it_costs_a_token_or_is_another_servers(row: Row) -> None:
    (candidate,) = search.named(row, None)
    assert candidate.ready == ()


def test_in_a_search_only_a_server_with_a_port_apart_for_its_page_is_asked() -> None:
    asked = {one.url: one.ready for one in search.anywhere() if one.ready}
    assert list(asked) == ["http://127.0.0.1:8002/metrics"]
    assert "http://127.0.0.1:8000/v2/health/ready" in asked["http://127.0.0.1:8002/metrics"]


def test_every_engine_is_looked_for_at_its_own_page_and_each_page_is_asked_once() -> None:
    urls = [one.url for one in search.anywhere("127.0.0.7")]
    assert len(urls) == len(set(urls))
    assert {f"http://127.0.0.7:{row.port}{row.path}" for row in table.ROWS} <= set(urls)
    assert len(urls) <= 12


def test_each_page_is_read_for_every_engine_its_own_first() -> None:
    for candidate in search.anywhere():
        assert set(candidate.rows) == set(table.ROWS)
        port, path = urlsplit(candidate.url).port, urlsplit(candidate.url).path
        own = [row for row in table.ROWS if (row.port, row.path) == (port, path)]
        assert list(candidate.rows[: len(own)]) == own
        assert candidate.hint


def test_pages_of_one_server_stand_together_and_the_general_one_last() -> None:
    urls = [urlsplit(one.url) for one in search.anywhere()]
    ports = [url.port for url in urls]
    assert ports == sorted(ports)
    assert [url.path for url in urls if url.port == 8000] == [
        "/prometheus/metrics",
        "/v1/metrics",
        "/metrics",
    ]


def test_a_page_given_without_an_engine_is_read_for_every_engine() -> None:
    (candidate,) = search.at("http://127.0.0.1:9/x")
    assert candidate.rows == table.ROWS
