"""The page is one document, whatever a tenant calls things: nothing of it becomes markup."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser

import msgspec
import pytest

from adapter.model.decisions import Decision
from adapter.model.exits import Workload
from adapter.model.fleet import Exit, Memory, Owner, SourceKind
from adapter.model.foreseen import Foreseen, Mode
from adapter.model.overview import row, sources, workloads
from adapter.model.snapshot import TotalKey
from adapter.model.spending import Account, Sum
from adapter.model.starting import Horizon
from adapter.ops import cells
from adapter.ops.board import Board, Seen, board
from adapter.ops.cells import Cell
from adapter.ops.page import html
from adapter.ops.probes import Check
from tests.adapter.model.world import WALL, World, serving_pod

BENIGN = "benign"
PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    "</td></tr></table><h1>owned</h1>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</template><script>alert(1)</script>",
    "</noscript><img src=x onerror=alert(1)>",
    "<!--",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mi//xlink:href='javascript:alert(1)'>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<base href='//evil.example/'>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<form action=//evil.example><button>go</button></form>",
    "<style>*{background:url(//evil.example)}</style>",
    "<details open ontoggle=alert(1)>",
    "<input onfocus=alert(1) autofocus>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "<IMG SRC=`javascript:alert(1)`>",
    "\x1b]0;owned\x07\r\ndata: {}\r\n\r\n<b>",
    "\u202e\u2066<b>gnp.exe",
    "{{constructor.constructor('alert(1)')()}}",
]


class Skeleton(HTMLParser):
    """The document without its text: tags and attributes' names in order, and the text apart."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.said: list[str] = []
        self.values: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.parts.append(f"<{tag} {' '.join(name for name, _ in attributes)}>")
        self.values += [value or "" for _, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(f"</{tag}>")

    def handle_comment(self, _: str) -> None:
        self.parts.append("<!--")

    def handle_pi(self, _: str) -> None:
        self.parts.append("<?")

    def unknown_decl(self, _: str) -> None:
        self.parts.append("<![")

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def become(world: World, key: str, **changes: object) -> None:
    world.pods[key] = msgspec.structs.replace(world.pods[key], **changes)


def told(text: str) -> Board:
    """Return the board of a cluster in which every text that somebody else writes is this one."""
    return board(seen(text))


@cache
def seen(text: str) -> Seen:
    owner = Owner(text, text)
    world = World(*(serving_pod(name) for name in ("speaks", "fails", "waits", "odd")))
    exits = (Exit(text, Memory.GPU, 1.0),)
    become(world, "speaks", namespace=text, name=text, owners=(owner,))
    become(world, "fails", namespace=text, name=f"{text}2", owners=(owner,), exits=exits)
    become(world, "waits", namespace=text, name=f"{text}3", owners=(), phase="Pending")
    scrape = SourceKind.SCRAPE
    become(world, "odd", name=f"{text}4", owners=(), source=scrape, source_problem=text)
    world.say = {"speaks": {"inflight": 3.0}, "fails": {}}
    world.why = {"fails": {"engine": text, "gpu": text}}
    world.troubles = {"uid-fails": text}
    snapshot = world.advance(20)
    found = workloads(snapshot.fleet)
    workload = (text, owner)
    metric = row(snapshot, workload).demand
    key = TotalKey(text, owner.kind, owner.name, metric.name, metric.view)
    foreseen = Foreseen(Mode.ACT, 1, 2, 2, None, text, text)
    object.__setattr__(snapshot, "foreseen", {key: foreseen})
    rows = tuple(row(snapshot, one) for one in found)
    return Seen(
        WALL,
        rows,
        3,
        sources(snapshot),
        2,
        {workload: Horizon(90.0, text)},
        (Check(text, passed=True, words=text), Check(f"{text}2", passed=False, words=text)),
        {text: text},
        {workload: (Decision(WALL, text),)},
        (Sum(Account(Workload(text, text, text), text, spot=True), 2, (1.0, 2.0, 3.0, 4.0)),),
        WALL - 60,
    )


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_the_cluster_becomes_markup_in_any_field(
    payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "MAX_CHARACTERS", 10_000)  # nothing of it is cut away
    usual = Skeleton(html(told(BENIGN), title=BENIGN))
    hostile = Skeleton(html(told(payload), title=payload))
    assert hostile.parts == usual.parts
    assert len(PAYLOADS) >= 30
    shown = "".join(one if one.isprintable() else " " for one in payload)
    # A kind ends at its first dot, where its group begins: a few fields less for such a payload.
    assert "\n".join(hostile.said).count(shown) > 30


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_has_characters_that_steer_or_turn_it_around(payload: str) -> None:
    cells = [
        text
        for table in told(payload).tables
        for text in (table.words, *(cell.text for cells in table.rows for cell in cells))
    ] + [text for chart in told(payload).charts for text in (chart.words, *chart.changes)]
    assert len(cells) > 30
    assert [text for text in cells if not text.isprintable()] == []


def test_a_long_text_is_cut() -> None:
    longest = max(
        len(cell.text) for table in told("x" * 5_000).tables for row in table.rows for cell in row
    )
    assert longest == 301


def test_every_address_in_it_is_relative_and_of_our_own() -> None:
    page = Skeleton(html(told(BENIGN), title=BENIGN))
    addresses = [value for value in page.values if "/" in value and "text/html" not in value]
    assert sorted(set(addresses)) == [
        "image/svg+xml",
        "status/icon.svg",
        "status/status.css",
        "status/status.js",
        "status/uPlot.iife.min.js",
        "status/uPlot.min.css",
    ]
    assert not re.search(
        r"<[^>]+\s(on\w+|style)=|<script(?![^>]*\ssrc=)", html(told("a"), title="")
    )


def test_a_table_without_rows_is_hidden_and_its_words_stay() -> None:
    empty = html(board(Seen(None, (), 0, (), 0, {}, (), {})), title="t")
    assert 'id="s-fleet" role="region" aria-labelledby="h-fleet" tabindex="0" hidden>' in empty
    assert "No pod with a source was seen: label pod templates forescale.dev/source." in empty
    assert "no reading yet" in empty


def test_the_first_charts_are_open_and_the_others_wait() -> None:
    made = told(BENIGN)
    many = Board(made.stamp, made.summary, made.tables, (made.charts[0],) * 5)
    assert html(many, title="").count("open>") == 3


def test_a_cells_tone_is_a_class() -> None:
    assert Cell("1").tone == ""
    assert '<td class="num bad">' in html(told(BENIGN), title="")
