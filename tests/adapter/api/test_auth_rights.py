"""Rights and tokens are asked about seldom, and an API server that is silent stops few."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapter.api.serving import METRIC, Serving, status


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    async with Serving(tmp_path) as running:
        running.apiserver.users["good"] = {"username": "alice", "groups": ["people"]}
        yield running


async def test_rights_and_tokens_are_asked_about_once_in_ten_seconds(serving: Serving) -> None:
    serving.apiserver.allows = lambda _: True
    bearer = [("Authorization", "Bearer good")]
    for _ in range(3):
        assert (await serving.ask(headers=bearer))[0] == 200
    assert len(serving.apiserver.reviewed) == 2
    serving.now = 11.0
    serving.apiserver.allows = lambda _: False
    assert (await serving.ask(headers=bearer))[0] == 403
    assert len(serving.apiserver.reviewed) == 4


async def test_while_no_review_is_answered_known_callers_are_served_and_new_ones_wait(
    serving: Serving,
) -> None:
    serving.apiserver.allows = lambda spec: spec["user"] == "alice"
    assert (await serving.proxied("alice"))[0] == 200
    assert (await serving.proxied("bob"))[0] == 403
    serving.apiserver.answering.clear()
    serving.now = 30.0
    began = time.monotonic()
    assert (await serving.proxied("alice"))[0] == 200
    assert (await serving.proxied("bob"))[0] == 403
    refused = await serving.proxied("carol")
    assert time.monotonic() - began < 2.5
    assert refused[0] == 503
    assert "SubjectAccessReview failed" in status(refused)["message"]
    serving.now = 75.0
    assert (await serving.proxied("alice"))[0] == 503
    serving.apiserver.answering.set()
    assert (await serving.proxied("alice"))[0] == 200


async def test_a_flood_of_random_tokens_is_held_off_and_others_are_served(
    serving: Serving,
) -> None:
    serving.apiserver.allows = lambda _: True
    # So few that no machine is too slow to be held off.
    serving.auth._tokens._per_second = 2.0
    codes = [
        (await serving.ask(headers=[("Authorization", f"Bearer random-{number}")]))[0]
        for number in range(30)
    ]
    assert codes[:4] == [401] * 4
    assert 503 in codes
    assert sum("token" in spec for spec in serving.apiserver.reviewed) == codes.count(401)
    assert (await serving.proxied("alice"))[0] == 200


async def test_whoever_asks_for_ever_new_rights_uses_up_nobody_elses(serving: Serving) -> None:
    serving.apiserver.allows = lambda spec: spec["user"] == "hpa"
    serving.auth._rights._per_second = 2.0
    bearer = [("Authorization", "Bearer good")]
    told: dict[str, list[int]] = {"bearer": [], "proxied": []}
    for number in range(30):
        path = METRIC.replace("*", f"pod-{number}")
        told["bearer"].append((await serving.ask(path, headers=bearer))[0])
        told["proxied"].append((await serving.proxied("mallory", path=path))[0])
    for codes in told.values():
        assert codes[:4] == [403] * 4
        assert 503 in codes
    assert (await serving.proxied("hpa"))[0] == 200


async def test_what_nothing_can_be_called_is_not_asked_about(serving: Serving) -> None:
    serving.apiserver.allows = lambda _: True
    answer = await serving.proxied("alice", path=METRIC.replace("*", "x" * 4000))
    assert answer[0] == 404
    assert "1024 characters" in status(answer)["message"]
    assert serving.apiserver.reviewed == []


async def test_the_token_is_never_logged(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    serving.apiserver.answering.clear()
    await serving.ask(headers=[("Authorization", "Bearer very-secret")])
    serving.apiserver.answering.set()
    await serving.ask(headers=[("Authorization", "Bearer very-secret")])
    assert "very-secret" not in caplog.text
