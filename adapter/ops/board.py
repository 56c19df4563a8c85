"""The board: what the status page says, as text; a browser shows it and computes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from adapter.model.decisions import Decision
from adapter.model.exits import Workload
from adapter.model.fleet import Object
from adapter.model.overview import Row, SourceRow
from adapter.model.spending import Sum
from adapter.model.starting import Horizon
from adapter.ops import spent
from adapter.ops.cells import NONE, Cell, Table, clean, table
from adapter.ops.probes import Check
from adapter.settings import Tariff

MAX_LEFT = 200  # pods without a value that are named
UNCHANGED = "Since this replica began to look, nothing changed."

FLEET = ("Namespace", "Workload", "Replicas", "Served", "Held", "Loading", "Omitted", "Waiting",
         "Demand", "GPU")  # fmt: skip


class Chart(msgspec.Struct, frozen=True):
    """One workload's chart in words; `query` is what its figures are asked for with.

    `changes` are its last decisions, the newest first.
    """

    query: str
    title: str
    words: str
    changes: tuple[str, ...] = ()


class Board(msgspec.Struct, frozen=True):
    """All that the page shows at one moment; `summary` is read out when it changes."""

    stamp: str
    summary: str
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]


class Seen(msgspec.Struct, frozen=True):
    """What a board is made of; `wall` is Unix seconds of the Snapshot, None before the first."""

    wall: float | None
    rows: Sequence[Row]
    more: int  # workloads that have no row
    sources: Sequence[SourceRow]
    node_sources: int  # pods that speak for those of their node
    horizons: Mapping[Object, Horizon]
    checks: Sequence[Check]
    certificates: Mapping[str, str]
    decisions: Mapping[Object, Sequence[Decision]] = {}
    spent: Sequence[Sum] = ()
    spent_since: float | None = None  # Unix seconds
    tariff: Tariff = Tariff()


def board(seen: Seen) -> Board:
    """Return what the page says."""
    return Board(
        "no reading yet" if seen.wall is None else stamp(seen.wall),
        _summary(seen),
        (
            _fleet(seen),
            spent.told(seen.spent, seen.tariff, _since(seen)),
            _left(seen),
            _sources(seen),
            _checks(seen),
            _certificates(seen),
        ),
        tuple(_chart(row, seen) for row in seen.rows),
    )


def figure(value: float | None) -> str:
    """Return a figure with one decimal at most; a dash for none."""
    return NONE if value is None else f"{value:,.1f}".removesuffix(".0")


def stamp(seconds: float) -> str:
    """Return Unix seconds as a time of today's clock, UTC."""
    return time.strftime("%H:%M:%S UTC", time.gmtime(seconds))


def whose(workload: Object) -> Workload:
    """Return the workload as it is asked for: its kind without the group."""
    return Workload(workload[0], workload[1].short_kind, workload[1].name)


def _summary(seen: Seen) -> str:
    failed = [check.name for check in seen.checks if not check.passed]
    state = f"not ready: {', '.join(failed)}" if failed else "ready"
    sums = {
        word: sum(getattr(row, word) for row in seen.rows)
        for word in ("served", "held", "loading", "omitted")
    }
    pods = ", ".join(f"{count} {word}" for word, count in sums.items())
    count = len(seen.rows) + seen.more
    workloads = "1 workload" if count == 1 else f"{count} workloads"
    return clean(f"The adapter is {state}. Pods of {workloads}: {pods}.")


def _fleet(seen: Seen) -> Table:
    words = "Demand is the total that the chart below is of." if seen.rows else ""
    if not seen.rows:
        words = "No pod with a source was seen: label pod templates forescale.dev/source."
    if seen.more:
        words += f" {seen.more} more workloads are not shown; forescale why tells of each."
    return table("fleet", "Workloads", FLEET, map(_cells, seen.rows), words)


def _cells(row: Row) -> tuple[Cell, ...]:
    namespace, owner = row.workload
    asked = "" if row.desired is None else f" (target asks for {row.desired})"
    gpu = NONE if row.gpu_percent is None else f"{figure(row.gpu_percent)} %"
    demand = NONE if row.smoothed is None else f"{figure(row.smoothed)} {_unit(row)}"
    return (
        Cell(namespace),
        Cell(f"{owner.short_kind} {owner.name}"),
        Cell(f"{row.replicas}{asked}", "num"),
        Cell(str(row.served), "num"),
        Cell(str(row.held), "num bad" if row.held else "num"),
        Cell(str(row.loading), "num"),
        Cell(str(row.omitted), "num bad" if row.omitted else "num"),
        Cell(figure(row.pending), "num"),
        Cell(demand, "num"),
        Cell(gpu, "num"),
    )


def _unit(row: Row) -> str:
    name = row.demand.name
    if name == "llm_inference_inflight_requests":
        return "in flight"
    return "waiting" if name == "llm_inference_pending_requests" else row.demand.unit


def _since(seen: Seen) -> float | None:
    """Return for how many seconds GPU-seconds are counted."""
    if seen.wall is None or seen.spent_since is None:
        return None
    return seen.wall - seen.spent_since


def _left(seen: Seen) -> Table:
    found = [(row, left) for row in seen.rows for left in row.left]
    shown = found[:MAX_LEFT]
    more = len(found) - len(shown) + sum(row.left_more for row in seen.rows)
    rows = [
        (
            Cell(row.workload[0]),
            Cell(f"{row.workload[1].short_kind} {row.workload[1].name}"),
            Cell(left.pod),
            Cell(left.why),
        )
        for row, left in shown
    ]
    words = f"And {more} more pods." if more else "" if rows else "Every pod has a value."
    return table(
        "left", "Pods without a value", ("Namespace", "Workload", "Pod", "Why"), rows, words
    )


def _sources(seen: Seen) -> Table:
    rows = (
        (
            Cell(one.kind),
            Cell(str(one.pods), "num"),
            Cell(str(one.heard), "num bad" if one.heard < one.pods else "num"),
            Cell(one.words or NONE),
        )
        for one in seen.sources
    )
    head = ("Source", "Pods", "Heard", "What hinders")
    nodes = f"Pods that speak for those of their node: {seen.node_sources}."
    none = "" if seen.sources else "None yet."
    return table("sources", "Sources", head, rows, nodes if seen.node_sources else none)


def _checks(seen: Seen) -> Table:
    rows = (
        (Cell(c.name), Cell("ok" if c.passed else "not ok", _tone(c)), Cell(c.words))
        for c in seen.checks
    )
    return table("checks", "This adapter", ("Check", "State", "What it sees"), rows)


def _tone(check: Check) -> str:
    return "good" if check.passed else "bad"


def _certificates(seen: Seen) -> Table:
    rows = ((Cell(name), Cell(words)) for name, words in seen.certificates.items())
    words = "" if seen.certificates else "None yet."
    return table("certificates", "Certificates", ("What for", "State"), rows, words)


def _chart(row: Row, seen: Seen) -> Chart:
    one = whose(row.workload)
    query = urlencode({"namespace": one.namespace, "kind": one.kind, "name": one.name})
    title = f"{one.namespace}: {one.kind} {one.name}"
    words = " ".join(_sentences(row, seen.horizons.get(row.workload)))
    return Chart(query, clean(title), clean(words), _changes(seen.decisions.get(row.workload, ())))


def _changes(decisions: Sequence[Decision]) -> tuple[str, ...]:
    told = tuple(clean(f"{stamp(one.at)}: {one.words}") for one in decisions)
    return told or (UNCHANGED,)


def _sentences(row: Row, horizon: Horizon | None) -> list[str]:
    metric, said = row.demand, [f"{row.demand.name}:"]
    if row.smoothed is None:
        said.append(f"no value, {row.why}.")
    else:
        view = f"{metric.view.stat} {metric.view.window_seconds} s"
        said.append(f"{figure(row.observed)} now, {figure(row.smoothed)} as {view}.")
    if row.carries is not None:
        pods = row.served + row.held
        said.append(f"Target {figure(row.carries)}: {figure(row.target)} on each of {pods} pods.")
    if row.foreseen is not None:
        value = figure(row.foreseen.predicted)
        said.append(f"Forecast {value} ({row.foreseen.mode}): {row.foreseen.why}.")
    if horizon is not None:
        said.append(f"Shaded, until a pod asked for now serves: {horizon.words}.")
    return said
