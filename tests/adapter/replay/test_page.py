"""The page stands alone: every figure and plot is in it, and nothing is fetched."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec
import pytest

from adapter.replay.answers import Chain
from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.curve import CURVED, Curve
from adapter.replay.page import Played, Section, html
from adapter.replay.play import play
from adapter.replay.policies import POLICIES
from adapter.replay.score import score, score_of_bound
from tests.adapter.replay.worlds import trace, workload

LOAD, WORKLOAD = trace([4.0] * 60 + [20.0] * 60), workload(60.0)


def page(name: str = "reactive", drawn: Sequence[Curve] = ()) -> str:
    bound = Clairvoyant(LOAD, WORKLOAD)
    outcome = play(LOAD, WORKLOAD, POLICIES["reactive"][0](WORKLOAD, 0.9, Chain()))
    played = [
        Played(score(name, outcome, LOAD, WORKLOAD, bound), outcome),
        Played(score_of_bound(WORKLOAD, bound), None),
    ]
    named = msgspec.structs.replace(LOAD, name="a&b.csv")
    return html([Section(named, WORKLOAD, tuple(played), tuple(drawn))])


def test_it_has_a_row_for_each_policy_and_a_plot_for_each_that_was_played() -> None:
    found = page()
    assert found.count("<tr>") == 3
    assert found.count("<svg") == 2  # pods and load, and who waits
    assert found.count("<polyline") == 4
    assert '<rect class="late"' in found
    assert "<h1>Replay of a&amp;b.csv</h1>" in found


def test_nothing_is_fetched_and_nothing_runs() -> None:
    found = page()
    assert not re.search(r"https?://|<script|src=|@import|url\(", found)


def test_a_policys_name_cannot_break_out() -> None:
    assert "<img" not in page("<img src=x>")


def test_curves_stand_beside_the_policies_as_points() -> None:
    bound = Clairvoyant(LOAD, WORKLOAD)
    one = score_of_bound(WORKLOAD, bound)
    cheaper = msgspec.structs.replace(one, late_ratio=0.5, gpu_hours=one.gpu_hours / 2)
    found = page("seed", [Curve(name, (0.5, 0.9), (one, cheaper)) for name in CURVED])
    scatter = found.split("<svg")[1]
    assert scatter.count("<polyline") == 2
    assert scatter.count('<circle class="point"') == 2  # seed, and the bound
    assert "50% to 90%" in found


def test_each_trace_has_its_part() -> None:
    section = Section(LOAD, WORKLOAD, (), ())
    assert html([section, section]).count("<h1>") == 2


def test_what_is_played_and_not_scored_is_pale() -> None:
    outcome = play(LOAD, WORKLOAD, POLICIES["reactive"][0](WORKLOAD, 0.9, Chain()))
    one = Played(score("reactive", outcome, LOAD, WORKLOAD, Clairvoyant(LOAD, WORKLOAD)), outcome)
    whole = html([Section(LOAD, WORKLOAD, (one,), ())])
    assert 'class="veil"' not in whole
    part = html([Section(LOAD, WORKLOAD, (one,), (), LOAD.seconds / 2)])
    wide, _ = re.findall(r'class="veil" x="44" y="10" width="([0-9.]+)"', part)
    assert float(wide) == pytest.approx((960 - 44 - 8) / 2)
    assert "What is pale is played and not scored." in part


def test_a_forecast_is_drawn_over_what_came_where_one_was_served() -> None:
    bound = Clairvoyant(LOAD, WORKLOAD)
    outcome = play(LOAD, WORKLOAD, POLICIES["reactive"][0](WORKLOAD, 0.9, Chain()))
    seen = ((10.0, 5.0), (20.0, math.nan), (30.0, 6.0), (9_999.0, 7.0))
    one = Played(score("forescale", outcome, LOAD, WORKLOAD, bound), outcome, seen)
    found = html([Section(LOAD, WORKLOAD, (one,), ())])
    assert found.count("<svg") == 3  # pods, waiting requests, the forecast
    assert found.count('<polyline class="foreseen"') == 2  # with a hole between
    assert found.count('<polyline class="queue"') == 1
