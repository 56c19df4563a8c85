"""The cold start page: figures in aligned lines, a histogram that fits any starts."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from adapter.cli.startpage import BAR_CHARACTERS, BINS, histogram, text
from adapter.model.exits import Workload
from adapter.model.sighting import Start
from adapter.model.startstory import tell
from adapter.ops.coldstart import Stories
from tests.adapter.model.test_starting import (
    KEY,
    LLM,
    NOW,
    Timeline,
    changed,
    loading,
    new_pod,
    scheduled,
    served,
)

FEW = "1.3 x the longest of 1 starts, with the prior's rest"


def test_one_workload_is_one_screen_with_its_histogram() -> None:
    times = (101.0, 104.0, 108.0, 109.0, 112.0, 113.0, 118.0, 131.0, 152.0)
    stuck = changed(new_pod("y"), startup={"waiting_reason": "ImagePullBackOff"})
    pods = [served(f"{n}", seconds) for n, seconds in enumerate(times)]
    line = Timeline(*pods, loading(scheduled(new_pod("x"), 1), 2), stuck, at=200)
    start = Start(400, ended=True, at=NOW, new_node=True, node_seconds=290)
    line.starting.learnt.learn(KEY, start)
    page = text(Stories(NOW, (tell(line.starting, LLM, NOW + 90),)))
    assert page.splitlines() == [
        "Deployment default/llm",
        "  horizon 167 s: cold start 152 s (9 starts), HPA sync 15 s, reading 0 s old",
        "",
        "cold start: P50 112 s, P90 152 s (9 starts), 1 unfinished",
        "  medians: node 10 s, image and containers 20 s, model 82 s",
        "  100 - 110 s  ########################################  4",
        "  110 - 120 s  ##############################            3",
        "  120 - 130 s                                            0",
        "  130 - 140 s  ##########                                1",
        "  140 - 150 s                                            0",
        "  150 - 160 s  ##########                                1",
        "",
        f"on a new node: P50 400 s, P90 520 s ({FEW}), 0 unfinished",
        "  medians: node 290 s",
        "  400 - 401 s  ########################################  1",
        "",
        "starting:",
        "  llm-x (90 s, loads its model)",
        "",
        "stuck, not counted:",
        "  llm-y: ImagePullBackOff",
    ]


def test_a_wait_for_room_is_told_beside_the_start_and_not_in_it() -> None:
    line = Timeline()
    for wait in (60.0, 300.0, 900.0):
        line.starting.learnt.learn(KEY, Start(100, ended=True, at=NOW, room_seconds=wait))
    page = text(Stories(NOW, (tell(line.starting, LLM, NOW),))).splitlines()
    assert "  not counted: 300 s until a node had room (median)" in page
    assert page[-1] == f"  100 - 101 s  {'#' * BAR_CHARACTERS}  3"


def test_several_workloads_have_a_line_each() -> None:
    line = Timeline(served("a", 100), new_pod("b"), at=200)
    other = Workload("default", "StatefulSet", "quite-another-llm")
    stories = [tell(line.starting, one, NOW + 30) for one in (LLM, other)]
    lines = text(Stories(NOW, tuple(stories), more=2)).splitlines()
    assert [" ".join(line.split()) for line in lines[:-1]] == [
        "WORKLOAD P50 P90 STARTS UNFINISHED NODE WAIT STARTING STUCK",
        "default/llm 100 s 202 s 1 1 - 1 0",
        "default/quite-another-llm - (228 s assumed) 0 0 - 0 0",
    ]
    column = len("default/quite-another-llm  ")
    assert [line[column:][:5] for line in lines[:-1]] == ["P50  ", "100 s", "-    "]
    assert lines[-1] == "and 2 more: -n NAMESPACE or a name shows them"


def test_where_nothing_is_known_it_says_so() -> None:
    assert "no pod with a source was seen" in text(Stories(NOW, ()))


@given(st.lists(st.floats(0.0, 1_800.0), min_size=1, max_size=200))
def test_a_histogram_counts_every_start_in_at_most_ten_lines(seconds: list[float]) -> None:
    lines = list(histogram(seconds))
    assert len(lines) <= BINS
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == len(seconds)
    assert max(line.count("#") for line in lines) == BAR_CHARACTERS
    edges = [re.findall(r"\d+", line)[:2] for line in lines]
    assert float(edges[0][0]) <= min(seconds)
    assert max(seconds) < float(edges[-1][1])
