"""The board says in words and figures what the Snapshot holds, and what it does not."""

from __future__ import annotations

import msgspec
import pytest

from adapter.model.decisions import Decision
from adapter.model.overview import MAX_LEFT, row, sources, workloads
from adapter.model.starting import Horizon
from adapter.model.target import parse
from adapter.ops import board as boards
from adapter.ops.board import Board, Seen, board, figure
from adapter.ops.cells import Table
from adapter.ops.probes import Check
from tests.adapter.model.world import WALL, World, serving_pod
from tests.adapter.ops.statuspage import BUSY

READY = (
    Check("loop", passed=True, words="last tick 0.1 s ago"),
    Check("pods", passed=True, words="listed"),
)


def seen(world: World, checks: tuple[Check, ...] = READY, more: int = 0) -> Seen:
    assert world.snapshot is not None
    owners = workloads(world.snapshot.fleet)
    rows = tuple(row(world.snapshot, one) for one in owners)
    horizons = {owners[0]: Horizon(90.0, "90 s: cold start 75 s (9 starts)")}
    found = sources(world.snapshot)
    return Seen(world.snapshot.wall, rows, more, found, 2, horizons, checks, {"serving": "issued"})


def table(found: Board, name: str) -> Table:
    return next(one for one in found.tables if one.name == name)


def texts(found: Board, name: str) -> list[list[str]]:
    return [[cell.text for cell in cells] for cells in table(found, name).rows]


@pytest.fixture
def world() -> World:
    made = World(*(serving_pod(name, target=parse("inflight=5")) for name in ("a", "b", "quiet")))
    made.say = {"a": BUSY, "b": BUSY}
    made.advance(20)
    return made


def test_a_workload_is_one_row_and_figures_have_their_unit(world: World) -> None:
    assert texts(board(seen(world)), "fleet") == [
        ["default", "Deployment llm-inference-deployment", "3 (target asks for 8)",
         "2", "0", "0", "1", "12", "36 in flight", "50 %"]
    ]  # fmt: skip


def test_pods_without_a_value_stand_with_their_reason(world: World) -> None:
    (cells,) = texts(board(seen(world)), "left")
    assert cells[2:] == ["quiet", "its source has not been heard yet"]


def test_pods_that_are_not_named_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MAX_LEFT + 4):
        world.pods[f"more-{number}"] = serving_pod(f"more-{number}")
    world.advance()
    assert table(board(seen(world)), "left").words == "And 5 more pods."
    monkeypatch.setattr(boards, "MAX_LEFT", 4)
    assert table(board(seen(world)), "left").words == f"And {MAX_LEFT + 1} more pods."


def test_the_chart_has_its_figures_in_words_too(world: World) -> None:
    (chart,) = board(seen(world)).charts
    assert chart.query == "namespace=default&kind=Deployment&name=llm-inference-deployment"
    assert chart.words == (
        "llm_inference_inflight_requests: 36 now, 36 as mean 15 s. Target 10: 5 on each of 2 pods."
        " Shaded, until a pod asked for now serves: 90 s: cold start 75 s (9 starts)."
    )


def test_the_last_changes_stand_below_the_chart_with_their_time(world: World) -> None:
    found = seen(world)
    (quiet,) = board(found).charts
    assert quiet.changes == ("Since this replica began to look, nothing changed.",)
    changes = (Decision(WALL + 20, "2 -> 3 replicas"), Decision(WALL, "asks for 3\nin place of 2"))
    told = board(msgspec.structs.replace(found, decisions={found.rows[0].workload: changes}))
    assert told.charts[0].changes == (
        "22:13:40 UTC: 2 -> 3 replicas",
        "22:13:20 UTC: asks for 3 in place of 2",
    )


def test_the_summary_says_how_the_adapter_and_its_pods_are(world: World) -> None:
    assert board(seen(world)).summary == (
        "The adapter is ready. Pods of 1 workload: 2 served, 0 held, 0 loading, 1 omitted."
    )
    failed = (*READY, Check("streams", passed=False, words="still waiting"))
    assert board(seen(world, failed)).summary.startswith("The adapter is not ready: streams.")
    assert texts(board(seen(world, failed)), "checks")[-1] == ["streams", "not ok", "still waiting"]


def test_workloads_that_have_no_row_are_counted(world: World) -> None:
    assert "7 more workloads are not shown" in table(board(seen(world, more=7)), "fleet").words


def test_sources_and_certificates_are_told(world: World) -> None:
    assert texts(board(seen(world)), "sources") == [["sidecar", "3", "2", "-"]]
    assert (
        table(board(seen(world)), "sources").words == "Pods that speak for those of their node: 2."
    )
    assert texts(board(seen(world)), "certificates") == [["serving", "issued"]]


def test_before_anything_is_known_it_says_so() -> None:
    found = board(Seen(None, (), 0, (), 0, {}, (), {}))
    assert found.stamp == "no reading yet"
    assert all(one.words for one in found.tables if one.name != "checks")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (12.0, "12"), (12.34, "12.3"), (1234567.0, "1,234,567")],
)
def test_a_missing_figure_is_a_dash_and_never_a_zero(value: float | None, text: str) -> None:
    assert figure(value) == text
