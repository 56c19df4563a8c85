"""The status page over HTTP: one look for all who ask, and nothing that a browser would run."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession

from adapter.model import overview
from adapter.model.holding import Node
from adapter.ops import status
from adapter.ops.board import Board, Seen
from adapter.ops.status import Status
from adapter.settings import Price, Prices, Tariff
from tests.adapter.model.world import World
from tests.adapter.ops.statuspage import Scene, busy


async def test_the_page_shows_workloads_reasons_checks_sources_and_certificates() -> None:
    async with Scene(busy("a", "b")).serving() as scene:
        scene.status.certificates = lambda: {"serving": "issued by this adapter"}
        await scene.look(20)
        code, page = await scene.get()
    assert code == 200
    for words in (
        '<td class="">Deployment llm-inference-deployment</td><td class="num">3</td>',
        "its source has not been heard yet",
        "waits for its parts",
        '<td class="">sidecar</td><td class="num">3</td><td class="num bad">2</td>',
        "issued by this adapter",
    ):
        assert words in page


async def test_a_browser_may_run_and_load_what_is_ours_and_nothing_else() -> None:
    async with Scene(busy("a")).serving() as scene, ClientSession(scene.url) as session:
        for path in ("/status", "/status/status.js", "/status/status.css", "/status/icon.svg"):
            async with session.get(path) as answer:
                assert answer.status == 200
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_it_answers_before_the_first_snapshot_and_before_the_first_look() -> None:
    async with Scene(World()).serving() as scene:
        code, page = await scene.get()
        assert (code, "no reading yet" in page) == (200, True)
        await scene.status.look()
        assert "waits for its parts" in (await scene.get())[1]


async def test_with_a_slash_at_the_end_one_is_sent_to_the_page() -> None:
    async with Scene(busy("a")).serving() as scene, ClientSession(scene.url) as session:
        async with session.get("/status/", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, "../status")
        async with session.get("/status/") as answer:
            assert answer.url.path == "/status"


async def test_askers_between_two_looks_get_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    whole = status.board

    def counted(seen: Seen) -> Board:
        made.append(seen)
        return whole(seen)

    monkeypatch.setattr(status, "board", counted)
    async with Scene(busy("a")).serving() as scene:
        await scene.look()
        pages = await asyncio.gather(*(scene.get() for _ in range(20)))
        assert len(set(pages)) == 1
        assert len(made) == 1


async def test_a_look_that_fails_is_told_and_the_next_one_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(status, "IDLE_SECONDS", 0.01)
    scene = Scene(busy("a"))
    scene.world.advance(20)
    whole, calls = overview.row, []

    def row(*arguments: object) -> overview.Row:
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("a row that nobody thought of")
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(overview, "row", row)
    async with asyncio.timeout(10):
        running = asyncio.create_task(scene.status.run())
        while not scene.status.board().charts:
            await asyncio.sleep(0.01)
        running.cancel()
    assert "status_failed" in caplog.text
    assert len(calls) >= 2


async def test_prices_that_come_while_it_runs_make_money_of_the_hours() -> None:
    scene = Scene(busy("a"))
    scene.world.change("a", gpus={"llm": 2}, node="n1")
    scene.world.nodes = {"n1": Node(product="H100", spot=True)}
    for _ in range(3):
        await scene.look(6)
    (spent,) = (one for one in scene.status.board().tables if one.name == "spent")
    assert len(spent.head) == len(spent.rows[0]) == 9
    scene.tariff = Tariff(Prices({"H100": Price(9000.0, 900.0)}, "EUR"), "22-24")
    await scene.look(6)
    (spent,) = (one for one in scene.status.board().tables if one.name == "spent")
    assert [cell.text for cell in spent.rows[0][-2:]] == ["9.00", "9.00"]
    assert "Together 9.00 EUR, 0.00 of it idle, and 9.00 of it at night" in spent.words
    scene.tariff = Tariff(scene.tariff.prices, "4-12")
    await scene.look(0)
    (spent,) = (one for one in scene.status.board().tables if one.name == "spent")
    assert spent.rows[0][-1].text == "0.00"


async def test_a_fleet_beyond_the_bound_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(busy("a"))
    monkeypatch.setattr(overview, "fair", lambda found: found[:0])
    await scene.look()
    assert "1 more workloads are not shown" in scene.status.board().tables[0].words


def test_the_page_and_all_that_it_names_are_served() -> None:
    scene = Scene(World())
    made = Status(lambda: None, scene.starting, scene.spending, scene.probes)
    assert sorted(page.path for page in made.pages()) == [
        "/status",
        "/status/",
        "/status/changes",
        "/status/events",
        "/status/history",
        "/status/icon.svg",
        "/status/status.css",
        "/status/status.js",
        "/status/uPlot.iife.min.js",
        "/status/uPlot.min.css",
    ]
