"""The page stands alone: every figure and plot is in it, and nothing is fetched."""

from __future__ import annotations

import re

import msgspec

from adapter.replay.answers import Chain
from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.page import Played, html
from adapter.replay.play import play
from adapter.replay.policies import POLICIES
from adapter.replay.score import score, score_of_bound
from tests.adapter.replay.worlds import trace, workload

LOAD, WORKLOAD = trace([4.0] * 60 + [20.0] * 60), workload(60.0)


def page(name: str = "reactive") -> str:
    bound = Clairvoyant(LOAD, WORKLOAD)
    outcome = play(LOAD, WORKLOAD, POLICIES["reactive"][0](WORKLOAD, 0.9, Chain()))
    played = [
        Played(score(name, outcome, LOAD, WORKLOAD, bound), outcome),
        Played(score_of_bound(WORKLOAD, bound), None),
    ]
    return html(msgspec.structs.replace(LOAD, name="a&b.csv"), WORKLOAD, played)


def test_it_has_a_row_for_each_policy_and_a_plot_for_each_that_was_played() -> None:
    found = page()
    assert found.count("<tr>") == 3
    assert found.count("<svg") == 1
    assert found.count("<polyline") == 3
    assert '<rect class="late"' in found
    assert "<h1>Replay of a&amp;b.csv</h1>" in found


def test_nothing_is_fetched_and_nothing_runs() -> None:
    found = page()
    assert not re.search(r"https?://|<script|src=|@import|url\(", found)


def test_a_policys_name_cannot_break_out() -> None:
    assert "<img" not in page("<img src=x>")
