"""The page: a board as one HTML document that needs no script; all text in it is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from adapter.ops.board import Board, Chart
from adapter.ops.cells import Cell, Table

OPEN_CHARTS = 3  # the others are opened by whoever wants to see them
RELOAD_SECONDS = 10  # where no script brings the news

# Relative throughout: the page works behind any prefix, such as that of a proxy.
_HEAD = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>forescale: status</title>
<link rel="icon" href="status/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="status/uPlot.min.css">
<link rel="stylesheet" href="status/status.css">
<script src="status/uPlot.iife.min.js" defer></script>
<script src="status/status.js" defer></script>
<noscript><meta http-equiv="refresh" content="{RELOAD_SECONDS}"></noscript>
</head>
"""


def html(board: Board, *, title: str) -> str:
    """Return the document; `title` names the adapter that speaks."""
    first, *others = board.tables
    return f"""{_HEAD}<body>
<a class="skip" href="#main">Skip to the workloads</a>
<header>
<h1>forescale</h1>
<p class="who">{_text(title)}</p>
<p id="summary" role="status">{_text(board.summary)}</p>
<p class="when"><span id="live" class="live">As of</span> <time id="stamp">{_text(board.stamp)}</time></p>
</header>
<main id="main">
{_table(first)}
<section>
<h2 id="h-charts">Demand of each workload</h2>
<div id="charts">
{_lines(_chart(chart, number) for number, chart in enumerate(board.charts))}
</div>
<template id="chart">{_chart(Chart("", "", ""), OPEN_CHARTS)}</template>
<noscript><p class="words">The charts need script; the figures above do not.</p></noscript>
</section>
{_lines(_table(table) for table in others)}
</main>
<footer><p>All of this is in the adapter's memory. Single values are explained by
<code>forescale why</code>.</p></footer>
</body>
</html>
"""  # noqa: E501 - spaces between words would show


def _table(table: Table) -> str:
    name = table.name
    head = "".join(f'<th scope="col">{_text(text)}</th>' for text in table.head)
    rows = _lines(f"<tr>{_cells(row)}</tr>" for row in table.rows)
    hidden = "" if table.rows else " hidden"
    return f"""<section>
<h2 id="h-{name}">{_text(table.title)}</h2>
<div class="scroll" id="s-{name}" role="region" aria-labelledby="h-{name}" tabindex="0"{hidden}>
<table id="t-{name}"><thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody></table>
</div>
<p class="words" id="w-{name}">{_text(table.words)}</p>
</section>"""


def _cells(row: Iterable[Cell]) -> str:
    return "".join(f'<td class="{_text(cell.tone)}">{_text(cell.text)}</td>' for cell in row)


def _chart(chart: Chart, number: int) -> str:
    opened = " open" if number < OPEN_CHARTS else ""
    changes = "".join(f"<li>{_text(words)}</li>" for words in chart.changes)
    return f"""<details class="chart" data-query="{_text(chart.query)}"{opened}>
<summary>{_text(chart.title)}</summary>
<div class="plot" role="img" aria-label="{_text(chart.title)}"></div>
<p class="words">{_text(chart.words)}</p>
<h3>Last changes</h3>
<ol class="changes">{changes}</ol>
</details>"""


def _text(text: str) -> str:
    return escape(text, quote=True)


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)
