"""The board: what the status page says, as text; a browser shows it and computes nothing.

Names and reasons are tenants' words: here they lose what could steer a terminal or turn the text
around, and their length has an end. Whoever makes HTML of them escapes them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from adapter.model.decisions import Decision
from adapter.model.exits import Workload
from adapter.model.fleet import Object
from adapter.model.overview import Row, SourceRow
from adapter.model.spending import Sum, Use
from adapter.model.starting import Horizon
from adapter.ops.probes import Check

MAX_CHARACTERS = (
    300  # of one text; a Status of an HPA is cut at 1,024, and this is one cell of many
)
MAX_LEFT = 200  # pods without a value that are named
MAX_SPENT = 100  # as many as workloads
NONE = "-"
UNCHANGED = "Since this replica began to look, nothing changed."

FLEET = ("Namespace", "Workload", "Replicas", "Served", "Held", "Loading", "Omitted", "Waiting",
         "Demand", "GPU")  # fmt: skip


class Cell(NamedTuple):
    """One text; its tone is `num`, `good`, `bad` or none, and never says more than the text."""

    text: str
    tone: str = ""


class Table(msgspec.Struct, frozen=True):
    """One table; `words` stand under it, and alone where it has no rows."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: str = ""


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


def board(seen: Seen) -> Board:
    """Return what the page says."""
    return Board(
        "no reading yet" if seen.wall is None else stamp(seen.wall),
        _summary(seen),
        (
            _fleet(seen),
            _spent(seen),
            _left(seen),
            _sources(seen),
            _checks(seen),
            _certificates(seen),
        ),
        tuple(_chart(row, seen) for row in seen.rows),
    )


def clean(text: str) -> str:
    """Return the text in one line, without characters that are not to be seen, cut."""
    cut = text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
    return "".join(one if one.isprintable() else " " for one in cut)


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


def _table(
    name: str, title: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], words: str = ""
) -> Table:
    cleaned = tuple(tuple(Cell(clean(c.text), c.tone) for c in row) for row in rows)
    return Table(name, title, tuple(head), cleaned, clean(words))


def _fleet(seen: Seen) -> Table:
    words = "Demand is the total that the chart below is of." if seen.rows else ""
    if not seen.rows:
        words = "No pod with a source was seen: label pod templates forescale.dev/source."
    if seen.more:
        words += f" {seen.more} more workloads are not shown; forescale why tells of each."
    return _table("fleet", "Workloads", FLEET, map(_cells, seen.rows), words)


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


def _spent(seen: Seen) -> Table:
    ranked = sorted(seen.spent, key=lambda one: -sum(one.seconds))
    head = ("Namespace", "Workload", "GPU", "Now", "GPU-hours", *(use.name.title() for use in Use))
    words = "None was held yet by a pod with a source."
    if ranked and seen.wall is not None and seen.spent_since is not None:
        words = f"Of the last {_hours(seen.wall - seen.spent_since)} h, since this replica listens."
        words += " What they cost in your prices is told by forescale cost."
    if more := len(ranked[MAX_SPENT:]):
        words += f" {more} more are not shown."
    return _table("spent", "GPU-hours", head, map(_spent_cells, ranked[:MAX_SPENT]), words)


def _spent_cells(one: Sum) -> tuple[Cell, ...]:
    workload, product = one.account.workload, one.account.product or NONE
    return (
        Cell(workload.namespace),
        Cell(f"{workload.kind} {workload.name}"),
        Cell(f"{product} spot" if one.account.spot else product),
        Cell(str(one.gpus), "num"),
        *(Cell(_hours(seconds), "num") for seconds in (sum(one.seconds), *one.seconds)),
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}"


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
    return _table(
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
    return _table("sources", "Sources", head, rows, nodes if seen.node_sources else none)


def _checks(seen: Seen) -> Table:
    rows = (
        (Cell(c.name), Cell("ok" if c.passed else "not ok", _tone(c)), Cell(c.words))
        for c in seen.checks
    )
    return _table("checks", "This adapter", ("Check", "State", "What it sees"), rows)


def _tone(check: Check) -> str:
    return "good" if check.passed else "bad"


def _certificates(seen: Seen) -> Table:
    rows = ((Cell(name), Cell(words)) for name, words in seen.certificates.items())
    words = "" if seen.certificates else "None yet."
    return _table("certificates", "Certificates", ("What for", "State"), rows, words)


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
