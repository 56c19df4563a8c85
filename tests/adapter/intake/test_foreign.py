"""A group that another adapter has any version of is left to it, unless takeover is set."""

from __future__ import annotations

import asyncio

import pytest

from adapter.intake.apiservice import PATH
from tests.adapter.intake.registering import BOTH, BUNDLE, EVENTS, NAMES, Cluster, registered, until


@pytest.mark.parametrize(("theirs", "missing"), [NAMES, NAMES[::-1]])
async def test_beside_a_foreign_version_no_other_is_made(
    cluster: Cluster, theirs: str, missing: str
) -> None:
    cluster.make_foreign(theirs)
    async with cluster.running() as registration:
        await until(lambda: registration.states.keys() == BOTH and cluster.events())
        await asyncio.sleep(0.5)
        assert cluster.server.collections[PATH].keys() == {theirs}
        words = f"not made: {theirs} belongs to Service monitoring/prometheus-adapter"
        assert registration.states[missing].startswith(words)


@pytest.mark.parametrize(("theirs", "missing"), [NAMES, NAMES[::-1]])
async def test_takeover_makes_the_version_that_is_missing_beside_a_foreign_one(
    cluster: Cluster, theirs: str, missing: str
) -> None:
    cluster.make_foreign(theirs)
    async with cluster.running(takeover=True) as registration:
        await until(lambda: "taken over" in registration.states.get(theirs, ""))
        await until(lambda: registration.states.get(missing) == "registered")
    assert cluster.service(missing)["spec"]["service"]["name"] == "forescale"


async def test_a_version_that_is_taken_from_us_leaves_the_other_to_the_hpas_that_read_it(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        cluster.make_foreign(NAMES[0])
        await until(cluster.events)
        event = cluster.events()[0]
        assert (event["reason"], event["type"]) == ("APIServiceForeign", "Warning")
        assert f"{NAMES[1]} stays ours for the HPAs that read it" in event["message"]
        assert registration.states[NAMES[0]] == event["message"]
        assert "apiservice_foreign" in caplog.text
        await cluster.kube.patch(f"{PATH}/{NAMES[1]}", {"spec": {"caBundle": None}})
        await until(lambda: cluster.service(NAMES[1])["spec"].get("caBundle") == BUNDLE)
        assert cluster.service(NAMES[0])["spec"]["service"]["name"] == "prometheus-adapter"
        assert len(cluster.events()) == 1


async def test_one_of_ours_that_is_deleted_is_not_made_again_beside_a_foreign_one(
    cluster: Cluster,
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        cluster.make_foreign(NAMES[0])
        cluster.server.remove(PATH, NAMES[1])
        await until(lambda: registration.states[NAMES[1]].startswith("not made"))
        await asyncio.sleep(0.5)
        assert cluster.server.collections[PATH].keys() == {NAMES[0]}


async def test_a_foreign_one_that_comes_back_soon_finds_its_group_free(cluster: Cluster) -> None:
    cluster.make_foreign(NAMES[0])
    async with cluster.running() as registration:
        await until(lambda: registration.states.keys() == BOTH)
        cluster.server.remove(PATH, NAMES[0])
        await until(lambda: "deleted" in registration.states[NAMES[0]])
        cluster.make_foreign(NAMES[0])
        await asyncio.sleep(0.5)
        assert cluster.server.collections[PATH].keys() == {NAMES[0]}


async def test_a_foreign_one_that_the_watch_has_not_brought_yet_is_seen_before_ours_is_made(
    cluster: Cluster,
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        cluster.server.remove(PATH, NAMES[1])
        await until(lambda: "deleted" in registration.states[NAMES[1]])
        # As somebody else would, but no watch tells of it.
        cluster.service(NAMES[0])["spec"]["service"] = {"name": "other", "namespace": "default"}
        await asyncio.sleep(0.5)
        assert NAMES[1] not in cluster.server.collections[PATH]


async def test_a_foreign_one_is_left_alone_and_its_owner_is_named(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.make_foreign(NAMES[0])
    before = dict(cluster.service(NAMES[0]))
    async with cluster.running() as registration:
        await until(lambda: registration.states.keys() == BOTH and cluster.events())
        assert "belongs to Service monitoring/prometheus-adapter" in registration.states[NAMES[0]]
    assert cluster.service(NAMES[0]) == before
    event = cluster.events()[0]
    assert (event["reason"], event["type"]) == ("APIServiceForeign", "Warning")
    assert event["involvedObject"]["name"] == "forescale"
    assert "apiServices.takeover" in event["message"]
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "apiservice_foreign"
    ]


async def test_a_foreign_one_that_goes_away_makes_room(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.make_foreign(name)
    async with cluster.running() as registration:
        await until(lambda: len(cluster.events()) == 2)
        for name in NAMES:
            cluster.server.remove(PATH, name)
        await until(lambda: registered(registration))
    assert cluster.service(NAMES[0])["spec"]["service"]["name"] == "forescale"


async def test_one_that_kube_apiserver_serves_itself_is_foreign_too(cluster: Cluster) -> None:
    cluster.server.put(PATH, {"metadata": {"name": NAMES[0]}, "spec": {"service": None}})
    async with cluster.running() as registration:
        await until(lambda: "belongs to kube-api" in registration.states.get(NAMES[0], ""))
    assert cluster.service(NAMES[0])["spec"]["service"] is None


async def test_takeover_takes_it_and_says_so_and_keeps_its_annotations(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.make_foreign(NAMES[0], insecureSkipTLSVerify=True, groupPriorityMinimum=50)
    cluster.service(NAMES[0])["metadata"]["annotations"] = {"a": "b"}
    async with cluster.running(takeover=True):
        await until(cluster.events)
    found = cluster.service(NAMES[0])
    assert found["spec"]["service"]["name"] == "forescale"
    assert found["spec"]["caBundle"] == BUNDLE
    assert "insecureSkipTLSVerify" not in found["spec"]
    assert found["metadata"]["annotations"] == {"a": "b"}
    event = cluster.events()[0]
    assert (event["reason"], event["type"]) == ("APIServiceTakenOver", "Normal")
    assert "from Service monitoring/prometheus-adapter" in event["message"]
    assert "apiservice_taken_over" in caplog.text


async def test_two_who_take_over_from_each_other_do_so_slowly(cluster: Cluster) -> None:
    cluster.make_foreign(NAMES[0])
    async with cluster.running(takeover=True):
        async with asyncio.timeout(10):
            for _ in range(2):
                await until(
                    lambda: cluster.service(NAMES[0])["spec"]["service"]["name"] == "forescale"
                )
                cluster.make_foreign(NAMES[0])
        patches = cluster.server.calls[f"PATCH {PATH}/{NAMES[0]}"]
        await asyncio.sleep(0.2)
        assert cluster.server.calls[f"PATCH {PATH}/{NAMES[0]}"] - patches <= 1


async def test_an_event_that_cannot_be_written_stops_nothing(cluster: Cluster) -> None:
    cluster.server.refusals[f"POST {EVENTS}"] = {
        "code": 403,
        "reason": "Forbidden",
        "message": "no events for you",
    }
    cluster.make_foreign(NAMES[0])
    async with cluster.running(takeover=True) as registration:
        await until(lambda: "taken over" in registration.states.get(NAMES[0], ""))
        assert cluster.service(NAMES[0])["spec"]["service"]["name"] == "forescale"
    assert cluster.events() == []


async def test_a_group_is_taken_over_only_after_kube_apiserver_can_know_our_endpoint(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.intake.registration.TAKEOVER_AFTER_SECONDS", 0.6)
    for name in NAMES:
        cluster.make_foreign(name)
    async with cluster.running(takeover=True) as registration:
        began = asyncio.get_running_loop().time()
        await until(lambda: any("taken over" in words for words in registration.states.values()))
        assert asyncio.get_running_loop().time() - began > 0.5


async def test_a_takeover_waits_while_the_others_metrics_cannot_be_asked_and_tells_why(
    cluster: Cluster,
) -> None:
    cluster.make_foreign(NAMES[0])
    before = dict(cluster.service(NAMES[0]))
    cluster.hindrance = "its certificate cannot be verified"
    async with cluster.running(takeover=True) as registration:
        await until(lambda: registration.states.keys() == BOTH and cluster.events())
        await asyncio.sleep(0.5)
        words = (
            "belongs to Service monitoring/prometheus-adapter and is not taken over yet: its cert"
        )
        assert registration.states[NAMES[0]].startswith(words)
        assert registration.states[NAMES[1]].startswith(f"not made: {NAMES[0]} belongs to")
        assert cluster.server.collections[PATH] == {NAMES[0]: before}
        (event,) = cluster.events()
        assert (event["reason"], event["type"]) == ("APIServiceTakeoverWaits", "Warning")
        assert event["message"] == (
            "custom.metrics.k8s.io is not taken over from Service monitoring/prometheus-adapter"
            " yet: its certificate cannot be verified"
        )
        cluster.hindrance = None
        await until(lambda: "taken over from" in registration.states[NAMES[0]])
        await until(lambda: registration.states[NAMES[1]] == "registered")


async def test_what_was_taken_over_stays_so_whatever_hinders_later(cluster: Cluster) -> None:
    async with cluster.running(takeover=True) as registration:
        await until(lambda: registered(registration))
        cluster.hindrance = "no answer within 5 s"
        await cluster.kube.patch(f"{PATH}/{NAMES[0]}", {"spec": {"caBundle": None}})
        await until(lambda: cluster.service(NAMES[0])["spec"].get("caBundle") == BUNDLE)
        assert registered(registration)
    assert cluster.events() == []


async def test_a_group_that_nobody_has_waits_for_no_other_adapter(cluster: Cluster) -> None:
    cluster.hindrance = "no answer within 5 s"
    async with cluster.running(takeover=True) as registration:
        await until(lambda: registered(registration))
        assert cluster.service(NAMES[0])["spec"]["service"]["name"] == "forescale"
    assert cluster.events() == []


async def test_a_takeover_that_waits_for_ever_new_reasons_does_not_flood_with_events(
    cluster: Cluster,
) -> None:
    cluster.make_foreign(NAMES[0])
    cluster.hindrance = "reason 0"
    async with cluster.running(takeover=True) as registration:
        for number in range(5):
            cluster.hindrance = f"reason {number}"
            await until(lambda: registration.states.get(NAMES[0], "").endswith(cluster.hindrance))
    assert len(cluster.events()) == 1
