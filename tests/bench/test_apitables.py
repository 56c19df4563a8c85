"""The tables of the API bench: the answers built anew lead, and the ratios are theirs."""

from __future__ import annotations

from bench import apitables
from bench.apitables import MANY, Cells, Key, Urls, Way
from bench.backends import Backend
from bench.loadgen import Cell, Report

SIZES = {"one": 1, "hundred": 100}
CROWDED = {"hundred": 100}
MILLISECONDS = {Backend.FORESCALE: 1.0, Backend.PEER: 40.0, Backend.STATIC: 0.75}


def cell(milliseconds: float) -> Cell:
    """Three runs of a hundred requests, one after the other, each as slow as this.

    Half of that time is the server's processor's.
    """
    seconds = milliseconds / 1000
    run = Report([seconds] * 100, seconds * 100, failures=0, failure="", bytes=2048)
    return Cell(runs=[run] * 3, processor_seconds=150 * seconds, asked=300)


def measured() -> Cells:
    """What a run of the bench leaves; an answer kept takes forescale a tenth of the time."""
    cells = {
        Key(backend, way, namespace, connections=connections): cell(milliseconds)
        for backend, milliseconds in MILLISECONDS.items()
        for way in Way
        for namespace in SIZES
        for connections in (1, MANY)
    }
    for key in [key for key in cells if key.backend is Backend.FORESCALE]:
        kept = Key(key.backend, key.way, key.namespace, Urls.AGAIN, key.connections)
        cells[kept] = cell(0.1)
    limited = Key(Backend.PEER, Way.DIRECT, "hundred", connections=MANY, limited=True)
    return cells | {limited: cell(200.0)}


def written(cells: Cells) -> str:
    return apitables.render(
        cells, SIZES, CROWDED, idle_ratio=0.25, ran="3 repetitions.", machine="2 cores"
    )


def rows(cells: Cells) -> list[dict[str, str]]:
    """Return all rows of all tables, each figure under its column's name."""
    found = []
    head: list[str] = []
    for line in written(cells).splitlines():
        texts = [text.strip() for text in line.strip("|").split("|")]
        if line.startswith("| pods "):
            head = texts
        elif line.startswith("| ") and "---" not in line:
            found.append(dict(zip(head, texts, strict=True)))
    return found


def row(start: str, column: str) -> dict[str, str]:
    return next(one for one in rows(measured()) if one["pods"].startswith(start) and column in one)


def test_every_size_is_there_directly_and_through_the_api_server() -> None:
    latencies = [one["pods"] for one in rows(measured()) if "forescale - static (p50)" in one]
    assert latencies == [
        "1, direct (2.0 KiB)",
        "100, direct (2.0 KiB)",
        "1, through kube-apiserver (2.0 KiB)",
        "100, through kube-apiserver (2.0 KiB)",
    ]


def test_the_latency_ratio_is_that_of_answers_built_anew() -> None:
    found = row("100, through", "test-adapter ÷ forescale (p50)")
    assert found["forescale"] == "1.0 / 1.0"
    assert found["forescale, again"] == "0.10 / 0.10"
    assert found["test-adapter ÷ forescale (p50)"] == "40x"
    assert found["forescale - static (p50)"] == "+0.25"
    assert found["again - static (p50)"] == "-0.65"


def test_the_throughput_ratios_are_those_of_answers_built_anew() -> None:
    found = row("100, direct", "forescale ÷ as it ships")
    assert found["forescale"] == "1,000"
    assert found["forescale, again"] == "10,000"
    assert found["forescale ÷ as it ships"] == "200x"
    assert found["forescale ÷ without its limit"] == "40x"


def test_the_processor_time_of_an_answer_stands_beside_the_peers() -> None:
    found = row("100, direct", "test-adapter ÷ forescale")
    assert (found["forescale"], found["forescale, again"]) == ("0.50", "0.050")
    assert (found["test-adapter"], found["test-adapter ÷ forescale"]) == ("20", "40x")
    assert "25 % of a core while nobody asks" in written(measured())


def test_what_is_not_measured_is_a_dash_and_no_ratio() -> None:
    found = row("100, through", "forescale ÷ as it ships")
    assert found["test-adapter as it ships"] == "-"
    assert found["forescale ÷ as it ships"] == "-"
    assert found["forescale ÷ without its limit"] == "40x"


def test_each_table_says_what_ran_and_what_anew_means() -> None:
    told = written(measured())
    assert told.count("3 repetitions.") == told.count("Machine: 2 cores.") == 3
    assert told.count("builds each answer anew") == 3
