"""A wrong annotation is told once a workload; nobody floods the log or the Events with them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from adapter.intake import remarks as module
from adapter.intake.kube import Kube
from adapter.intake.remarks import Remarks
from adapter.intake.roster import Roster
from tests.adapter.intake.test_podjson import pod_json
from tests.fakes.apiserver import FakeApiServer, Json

EVENTS = "/api/v1/namespaces/default/events"
MISTYPED = {"forescale.dev/contaner": "logger"}


def a_pod(name: str, noted: dict[str, str], *, of: str = "", namespace: str = "default") -> Json:
    raw = pod_json()
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}", "namespace": namespace}
    raw["metadata"]["annotations"] = noted
    raw["metadata"]["ownerReferences"][0]["name"] = of or name
    return raw


def roster_of(pods: Iterable[Json]) -> Roster:
    roster = Roster()
    roster.replace_pods(pods)
    return roster


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.WARNING, "forescale.adapter")
    return lambda: [(r.getMessage(), r.__dict__["fields"]) for r in caplog.records]


async def test_a_mistake_is_told_once_a_workload_in_the_log_and_as_an_event_on_a_pod(
    kube: Kube, server: FakeApiServer, told: Any
) -> None:
    roster = roster_of(a_pod(f"llm-{n}", MISTYPED, of="llm") for n in range(5))
    found = Remarks(roster.fleet, kube)
    await found.look(0.0)
    await found.look(5.0)
    ((event, fields),) = told()
    words = "forescale.dev/contaner is no annotation of ours: write forescale.dev/container"
    assert (event, fields["why"]) == ("annotation_unknown", words)
    assert fields["workload"] == "ReplicaSet/llm"
    (written,) = server.collections[EVENTS].values()
    assert (written["reason"], written["type"], written["message"]) == (
        "AnnotationUnknown",
        "Warning",
        words,
    )
    about = written["involvedObject"]
    assert (about["kind"], about["namespace"], about["uid"]) == (
        "Pod",
        "default",
        f"uid-{about['name']}",
    )


async def test_of_two_replicas_one_writes_the_event_and_the_other_says_nothing_of_it(
    kube: Kube, server: FakeApiServer, told: Any
) -> None:
    for _ in range(2):
        roster = roster_of([a_pod("llm-1", {"forescale.dev/shared-gpu": "yes"})])
        await Remarks(roster.fleet, kube).look(0.0)
    assert [event for event, _ in told()] == ["annotation_wrong"] * 2
    assert server.calls[f"POST {EVENTS}"] == 2
    assert [e["reason"] for e in server.collections[EVENTS].values()] == ["AnnotationWrong"]


async def test_an_event_that_may_not_be_written_leaves_the_log_and_ends_nothing(
    kube: Kube, server: FakeApiServer, told: Any
) -> None:
    refusal = {"code": 403, "reason": "Forbidden", "message": "events is forbidden"}
    server.refusals[f"POST {EVENTS}"] = refusal
    await Remarks(roster_of([a_pod("llm-1", MISTYPED)]).fleet, kube).look(0.0)
    assert [event for event, _ in told()] == ["annotation_unknown", "event_not_written"]


async def test_a_pod_that_is_ending_or_has_no_source_is_passed_over(told: Any) -> None:
    ending, unread = a_pod("ending", MISTYPED), a_pod("unread", MISTYPED)
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    del unread["spec"]["initContainers"]
    await Remarks(roster_of([ending, unread]).fleet).look(0.0)
    assert told() == []


async def test_a_workload_without_room_for_its_forecast_is_told_once_and_of_one_pod(
    kube: Kube, server: FakeApiServer, told: Any
) -> None:
    roster = roster_of(a_pod(f"llm-{n}", {}, of="llm") for n in range(3))
    crowded = [(pod, "no room, 100 are forecast already") for pod in roster.fleet().ordered]
    found = Remarks(roster.fleet, kube, lambda: crowded)
    await found.look(0.0)
    await found.look(5.0)
    ((event, fields),) = told()
    assert event == "forecast_without_room"
    assert (fields["workload"], fields["why"]) == ("ReplicaSet/llm", crowded[0][1])
    (written,) = server.collections[EVENTS].values()
    assert (written["reason"], written["message"]) == ("ForecastWithoutRoom", crowded[0][1])


async def test_one_namespace_that_floods_does_not_keep_another_from_being_told(told: Any) -> None:
    flood = [a_pod(f"a-{n:03}", {f"forescale.dev/x{n}": ""}, namespace="a") for n in range(100)]
    found = Remarks(roster_of([*flood, a_pod("b-1", MISTYPED, namespace="b")]).fleet)
    for now in range(10):
        before = len(told())
        await found.look(float(now))
        assert len(told()) - before <= module.MAX_A_ROUND
    pods = [fields["pod"] for _, fields in told()]
    assert "b/b-1" in pods
    assert len(pods) == module.MAX_A_NAMESPACE + 1


async def test_ever_new_texts_are_held_to_the_bound_for_as_long_as_an_event_lasts(
    told: Any,
) -> None:
    roster = Roster()
    found = Remarks(roster.fleet)
    for n in range(100):
        roster.replace_pods([a_pod("llm", {f"forescale.dev/x{n}": ""})])
        await found.look(float(n))
    assert len(told()) == module.MAX_A_NAMESPACE
    await found.look(module.REMEMBERED_SECONDS + 99.0)
    assert len(told()) == module.MAX_A_NAMESPACE + 1


async def test_a_mistake_that_was_mended_and_comes_back_later_is_told_again(told: Any) -> None:
    roster = Roster()
    found = Remarks(roster.fleet)
    for now, noted in ((0.0, MISTYPED), (3000.0, MISTYPED), (6000.0, {}), (6500.0, MISTYPED)):
        roster.replace_pods([a_pod("llm", noted)])
        await found.look(now)
    assert len(told()) == 1
    roster.replace_pods([a_pod("llm", {})])
    await found.look(12_000.0)
    roster.replace_pods([a_pod("llm", MISTYPED)])
    await found.look(12_001.0)
    assert len(told()) == 2


async def test_a_look_that_breaks_is_told_and_the_next_one_tried(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PERIOD_SECONDS", 0.001)
    fleets = iter([roster_of([a_pod("llm", MISTYPED)]).fleet()])
    task = asyncio.create_task(Remarks(lambda: next(fleets)).run())
    async with asyncio.timeout(5):
        while len(caplog.records) < 3:
            await asyncio.sleep(0.001)
    task.cancel()
    first, *others = [r.getMessage() for r in caplog.records[:3]]
    assert (first, others) == ("annotation_unknown", ["remarks_failed"] * 2)


async def test_what_is_told_is_one_line_of_json(told: Any) -> None:
    noted = {"forescale.dev/container": "a\n{}\x1b[31m"}
    await Remarks(roster_of([a_pod("llm", noted)]).fleet).look(0.0)
    ((_, fields),) = told()
    assert "says `a\\n{}\\x1b[31m`" in fields["why"]
    assert json.loads(json.dumps(fields)) == fields
