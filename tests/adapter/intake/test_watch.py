"""A watch lists first, then follows, and finds its way back from everything that ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from adapter.cluster import Event
from adapter.intake import watch as watches
from adapter.intake.kube import Kube
from tests.fakes.apiserver import FakeApiServer

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def named(name: str, **data: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


async def following(events: AsyncIterator[Event]) -> Event:
    async with asyncio.timeout(10):
        return await anext(events)


def names(event: Event) -> list[str]:
    return [item["metadata"]["name"] for item in event.body]


async def test_a_list_comes_first_and_changes_follow(kube: Kube, server: FakeApiServer) -> None:
    server.put(CONFIGMAPS, named("a"))
    async with aclosing(kube.watch(CONFIGMAPS)) as events:
        first = await following(events)
        assert (first.kind, names(first)) == ("list", ["a"])
        server.put(CONFIGMAPS, named("b"))
        server.put(CONFIGMAPS, named("a", x="1"))
        server.remove(CONFIGMAPS, "b")
        seen = [await following(events) for _ in range(3)]
    kinds = [(event.kind, event.body["metadata"]["name"]) for event in seen]
    assert kinds == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert seen[1].body["data"] == {"x": "1"}


async def test_a_long_list_comes_in_pages_and_is_trimmed_on_the_way(
    kube: Kube, server: FakeApiServer
) -> None:
    for number in range(1201):
        server.put(CONFIGMAPS, named(f"n{number:04d}", large="x" * 100))
    events = kube.watch(CONFIGMAPS, keep=lambda item: {"metadata": item["metadata"]})
    async with aclosing(events):
        first = await following(events)
    assert len(first.body) == 1201
    assert all("data" not in item for item in first.body)
    pages = [query for query in server.queries if query.get("limit") == "500"]
    assert len(pages) == 3


async def test_an_object_of_which_nothing_is_kept_is_not_listed(
    kube: Kube, server: FakeApiServer
) -> None:
    for name in ("a", "b", "c"):
        server.put(CONFIGMAPS, named(name))
    events = kube.watch(
        CONFIGMAPS, keep=lambda item: item if item["metadata"]["name"] == "b" else None
    )
    async with aclosing(events):
        assert names(await following(events)) == ["b"]


async def test_an_object_that_cannot_be_trimmed_is_told_once_and_left_out(
    kube: Kube, server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        server.put(CONFIGMAPS, named(name))
    server.put(CONFIGMAPS, {"metadata": {"name": "odd", "namespace": "default"}, "data": "x"})
    events = kube.watch(CONFIGMAPS, keep=lambda item: {**item, "data": {**item["data"]}})
    async with aclosing(events):
        assert names(await following(events)) == ["a", "b"]
        server.cut()
        server.put(CONFIGMAPS, named("c"))
        server.compact()
        assert names(await following(events)) == ["a", "b", "c"]
    told = [record for record in caplog.records if record.getMessage() == "object_unreadable"]
    assert [record.fields["object"] for record in told] == ["default/odd"]  # type: ignore[attr-defined]


async def test_a_connection_that_breaks_goes_on_where_it_was(
    kube: Kube, server: FakeApiServer
) -> None:
    server.put(CONFIGMAPS, named("a"))
    async with aclosing(kube.watch(CONFIGMAPS)) as events:
        await following(events)
        server.put(CONFIGMAPS, named("b"))
        assert (await following(events)).kind == "ADDED"
        server.cut()
        server.put(CONFIGMAPS, named("c"))
        after = await following(events)
    assert (after.kind, after.body["metadata"]["name"]) == ("ADDED", "c")


async def test_a_version_that_is_gone_brings_a_new_list_without_what_was_deleted(
    kube: Kube, server: FakeApiServer
) -> None:
    server.put(CONFIGMAPS, named("a"))
    server.put(CONFIGMAPS, named("b"))
    async with aclosing(kube.watch(CONFIGMAPS)) as events:
        assert names(await following(events)) == ["a", "b"]
        server.cut()
        server.remove(CONFIGMAPS, "a")
        server.compact()
        again = await following(events)
    assert (again.kind, names(again)) == ("list", ["b"])


async def test_a_connection_without_a_sign_of_life_is_given_up(
    kube: Kube, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(watches, "FAILURES_BEFORE_LIST", 1000)
    async with aclosing(kube.watch(CONFIGMAPS)) as events:
        await following(events)
        waiting = asyncio.create_task(following(events))
        while sum(query.get("watch") == "true" for query in server.queries) < 3:
            await asyncio.sleep(0.02)
        server.put(CONFIGMAPS, named("late"))
        assert (await waiting).body["metadata"]["name"] == "late"


async def test_a_server_that_is_away_is_asked_again_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watches, "LAST_DELAY_SECONDS", 0.1)
    async with FakeApiServer() as before:
        path, port = before.kubeconfig(tmp_path), before.port
    kube = await Kube.connect(path)
    try:
        async with aclosing(kube.watch(CONFIGMAPS)) as events:
            waiting = asyncio.create_task(following(events))
            while "watch_failed" not in caplog.text:
                await asyncio.sleep(0.02)
            after = FakeApiServer()
            after.port = port
            async with after:
                assert (await waiting).kind == "list"
    finally:
        await kube.close()


async def test_a_list_that_is_refused_is_told_once_and_retried(
    kube: Kube,
    server: FakeApiServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watches, "LAST_DELAY_SECONDS", 0.05)
    call = f"GET {CONFIGMAPS}"
    server.refusals[call] = {"code": 403, "reason": "Forbidden", "message": "no list for you"}
    async with aclosing(kube.watch(CONFIGMAPS)) as events:
        waiting = asyncio.create_task(following(events))
        while server.calls[call] < 5:
            await asyncio.sleep(0.01)
        del server.refusals[call]
        assert (await waiting).kind == "list"
    assert sum(record.getMessage() == "watch_failed" for record in caplog.records) == 1


async def test_metadata_alone_is_asked_for_in_the_form_of_a_list_and_of_objects(
    kube: Kube, server: FakeApiServer
) -> None:
    server.put(CONFIGMAPS, named("a"))
    async with aclosing(kube.watch(CONFIGMAPS, metadata_only=True)) as events:
        await following(events)
        server.put(CONFIGMAPS, named("b"))
        await following(events)
    accepts = [headers["Accept"] for headers in server.headers]
    assert "as=PartialObjectMetadataList;" in accepts[0]
    assert "as=PartialObjectMetadata;" in accepts[1]


async def test_the_server_is_asked_for_bookmarks_and_to_end_at_a_random_time(
    kube: Kube, server: FakeApiServer
) -> None:
    async with aclosing(kube.watch(CONFIGMAPS, {"labelSelector": "a=b"})) as events:
        await following(events)
        server.put(CONFIGMAPS, named("a"))
        await following(events)
    query = server.queries[-1]
    assert query["allowWatchBookmarks"] == "true"
    assert query["labelSelector"] == "a=b"
    assert 260 <= int(query["timeoutSeconds"]) <= 320


async def test_lines_are_put_together_however_they_were_cut() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b'{"a"', b":1}\n{", b"}\n\n", b"{}\n{}\n{", b"x"):
            yield chunk

    assert [line async for line in watches._lines(chunks())] == [b'{"a":1}', b"{}", b"{}", b"{}"]
