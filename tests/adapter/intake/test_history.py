"""The client of Prometheus against servers that are gone, slow, endless or something else."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from adapter.errors import IntakeError
from adapter.intake.history import Client
from adapter.settings import Prometheus
from tests.adapter.intake.scraping import answering, listening

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def asked(handler: Handler, path: str = "", **settings: object) -> float:
    """Return what a Prometheus that answers so says the time is."""
    async with listening(answering(handler)) as port:
        given = {"url": f"http://127.0.0.1:{port}{path}", "seconds": 0.5} | settings
        client = Client(Prometheus(**given))  # type: ignore[arg-type]
        try:
            return await asyncio.to_thread(client.now)
        finally:
            client.close()


def says(body: str, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status, headers=headers)

    return handler


TIME = json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [5, "5.5"]}})


async def test_its_own_time_is_asked_for() -> None:
    assert await asked(says(TIME)) == 5.5


async def test_a_path_before_the_api_is_kept() -> None:
    paths = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(text=TIME)

    await asked(handler, "/prometheus/")
    assert paths == ["/prometheus/api/v1/query"]


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (says("busy", 503), "HTTP Status Code 503"),
        (says("<html>"), "JSONDecodeError|does not answer as Prometheus does"),
        (says("[]"), "does not answer as Prometheus does"),
        (says('{"data": {}}'), "does not answer as Prometheus does"),
        (says('{"data": {"result": [5, "soon"]}}'), "does not answer as Prometheus does"),
        (says('{"data": {"result": []}}'), "does not answer as Prometheus does"),
        (says("[" * 100_000), "does not answer as Prometheus does"),
        (says("", 302, Location="http://127.0.0.1:1/"), "TooManyRedirects"),
    ],
)
async def test_what_is_no_answer_is_told_in_words(handler: Handler, words: str) -> None:
    with pytest.raises(IntakeError, match=words):
        await asked(handler)


async def test_nobody_there_is_told_in_words() -> None:
    client = Client(Prometheus(url="http://127.0.0.1:1", seconds=0.5))
    with pytest.raises(IntakeError, match=r"http://127.0.0.1:1: ConnectionError"):
        await asyncio.to_thread(client.now)


async def test_bytes_that_trickle_in_are_late() -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(IntakeError, match="ReadTimeout"):
        await asked(trickle)
    assert time.monotonic() - began < 5


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    monkeypatch.setattr("adapter.intake.history.MAX_ANSWER_BYTES", 1_000_000)
    with pytest.raises(IntakeError, match=r"ContentDecodingError|ReadTimeout"):
        await asked(endless, seconds=3.0)


async def test_a_compressed_answer_is_refused() -> None:
    with pytest.raises(IntakeError, match="ContentDecodingError"):
        await asked(says(TIME, **{"Content-Encoding": "br"}))


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await asked(says(TIME)) == 5.5


async def test_the_token_is_read_for_each_query_and_in_no_message(tmp_path: Path) -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(text=TIME, status=200 if len(seen) < 3 else 500)

    file = tmp_path / "token"
    async with listening(answering(handler)) as port:
        url = f"http://127.0.0.1:{port}"
        client = Client(Prometheus(url=url, seconds=2.0, token_file=str(file)))
        with pytest.raises(IntakeError, match=r"prometheus.tokenFile cannot be read"):
            await asyncio.to_thread(client.now)
        for token in ("first", "second"):
            file.write_text(f"{token}\n")
            await asyncio.to_thread(client.now)
        file.write_text("third")
        with pytest.raises(IntakeError) as caught:
            await asyncio.to_thread(client.now)
    assert seen == ["Bearer first", "Bearer second", "Bearer third"]
    assert "third" not in str(caught.value)
