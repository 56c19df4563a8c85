"""What a workload and its HPA did of late stands in `forescale why`, the newest first."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapter.api import query
from adapter.cli import recent
from adapter.cli import why as command
from adapter.model.decisions import Decision, Decisions
from adapter.ops.changes import Changes
from adapter.ops.why import Why
from tests.adapter.cli.opsport import serving
from tests.adapter.cli.test_why import DEPLOYMENT, Cluster, of_deployment, world
from tests.adapter.model.test_decisions import USUAL
from tests.adapter.test_main import kubeconfig

EVENTS = "/api/v1/namespaces/default/events"
OF_THE_HPA = "involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name=h"


def iso(seconds_ago: float) -> str:
    at = datetime.fromtimestamp(time.time() - seconds_ago, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def event(seconds_ago: float | None, reason: str, **others: Any) -> dict[str, Any]:
    at = {} if seconds_ago is None else {"lastTimestamp": iso(seconds_ago)}
    return {"type": "Normal", "reason": reason, "message": f"because of {reason}"} | at | others


def changes(seconds_ago: float) -> Changes:
    """Return the page of an adapter that began to look then and saw 1, 4 and 2 replicas."""
    told, began = Decisions(), time.time() - seconds_ago
    for later, replicas in ((0, 1), (60, 4), (120, 2)):
        told.note(msgspec.structs.replace(USUAL, replicas=replicas), began + later)
    return Changes(lambda wanted: told if wanted.name == DEPLOYMENT else None)


class Past(Cluster):
    """The cluster with a past: Events of its HPA, and an adapter that saw its workload change."""

    def __init__(self, *events: dict[str, Any], code: int = 200) -> None:
        metric = of_deployment("jobs_waiting", {})
        super().__init__(metric, pages={EVENTS: (code, {"items": [*events]})})
        self._changes = changes(700.0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/services/forescale:ops/proxy/status/changes"):
            return await self._changes.handle(request)
        if request.path == EVENTS:
            assert request.query["fieldSelector"] == OF_THE_HPA
        return await super().handle(request)


def told(folder: Path, cluster: Past, *more: str) -> int:
    with serving(cluster) as server:
        config = kubeconfig(folder, int(server.rpartition(":")[2]))
        return command.run(["hpa/h", "--kubeconfig", config, *more])


def test_an_hpas_past_stands_above_its_figures_the_newest_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warning = event(30, "FailedGetScale", type="Warning", count=12, message="a\x1b[31m\nb")
    series = event(None, "New", series={"count": 3, "lastObservedTime": iso(4)})
    old = [event(1000 * n, f"Old{n}") for n in range(1, 6)]
    assert told(tmp_path, Past(old[4], warning, *old[:4], series, event(None, "Timeless"))) == 0
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("What changed lately, by the adapter")
    served = "replicas, with inflight 10 in total, pending 2"
    assert lines[first + 1 : first + 3] == [
        f"  10 min ago  4 -> 2 {served}",
        f"  11 min ago  1 -> 4 {served}",
    ]
    assert lines[first + 3] == "What the HPA told lately, by its Events"
    found = [line.split(maxsplit=3) for line in lines[first + 4 : first + 9]]
    assert [words[3] for words in found[2:]] == [f"Old{n}: because of Old{n}" for n in (1, 2, 3)]
    assert found[0][3] == "New (x3): because of New"
    assert found[1][3] == "Warning FailedGetScale (x12): a [31m b"
    assert lines[first + 9] == ""
    assert lines[first + 10].startswith("jobs_waiting of ")


def test_json_has_all_of_it_with_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(tmp_path, Past(event(30, "SuccessfulRescale")), "-ojson") == 0
    past = json.loads(capsys.readouterr().out)["recent"]
    assert past["asked_at"] - past["since"] == pytest.approx(700, abs=60)
    assert [change["scaled"] for change in past["changes"]] == [True, True]
    (one,) = past["events"]
    assert (one["reason"], one["count"]) == ("SuccessfulRescale", 1)
    assert past["asked_at"] - one["at"] == pytest.approx(30, abs=60)


def test_who_may_not_list_events_is_told_so_and_has_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(tmp_path, Past(code=403)) == 0
    out = capsys.readouterr().out
    assert "  10 min ago  4 -> 2 replicas" in out
    assert "what the HPA told lately: you need `list` on events in default" in out
    assert "by its Events" not in out


def test_one_metric_alone_has_no_past(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(tmp_path, Past(event(9, "New")), "-m", "jobs_waiting") == 0
    assert "lately" not in capsys.readouterr().out


def test_a_workload_has_its_changes_without_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = world().snapshot
    with serving(Why(lambda: snapshot, query.choice), changes(700.0)) as url:
        assert command.run([f"deployment/{DEPLOYMENT}", "--adapter", url]) == 0
    out = capsys.readouterr().out
    assert "\n\nWhat changed lately, by the adapter\n  10 min ago  4 -> 2 replicas" in out


def test_nothing_that_changed_is_told_with_how_long_the_adapter_has_looked() -> None:
    assert recent.Recent(1000.0, since=400.0).lines() == [
        "Nothing changed since the adapter began to look, 10 min ago"
    ]
    assert recent.Recent(1000.0).lines() == []


@given(st.lists(st.booleans(), max_size=12))
def test_changes_of_replicas_are_shown_before_others_and_in_the_order_of_time(
    scaled: list[bool],
) -> None:
    kept = tuple(Decision(1000.0 - n, f"c{n}", scaled=one) for n, one in enumerate(scaled))
    lines = recent.Recent(1000.0, since=0.0, changes=kept).lines()[1:] if kept else []
    numbers = [int(line.rpartition("c")[2]) for line in lines]
    assert len(numbers) == min(len(kept), recent.SHOWN)
    assert numbers == sorted(numbers)
    shown = sum(scaled[number] for number in numbers)
    assert shown == min(sum(scaled), recent.SHOWN)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s ago"),
        (119, "119 s ago"),
        (121, "2 min ago"),
        (7300, "2 h ago"),
        (172_800, "2 d ago"),
    ],
)
def test_an_age_has_one_unit(seconds: float, words: str) -> None:
    assert recent.ago(seconds) == words
