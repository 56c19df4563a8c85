"""The API behind this one is asked over verified TLS, with our token, and never for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapter.errors import UpstreamError
from adapter.intake.upstream import UpstreamClient
from adapter.settings import Behind
from tests.controlplane import pki
from tests.fakes.metrics_server import NAME, PODS, FakeMetricsServer, listed


class Asking:
    """A client of a server whose CA is `trusted`, unless a test says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.authority = pki.authority(folder / "ca", "ca")
        self.other = pki.authority(folder / "other-ca", "other-ca")
        self.server = FakeMetricsServer(folder, self.authority)
        self.server.says[PODS] = listed()
        self.trusted = self.authority.pair.certificate.read_text()

    async def ask(self, **changes: object) -> bytes:
        settings = {"url": self.server.url, "name": NAME, "deadline_seconds": 1.0} | changes
        async with self.client(**settings) as client:
            return await read(client)

    @asynccontextmanager
    async def client(self, **settings: object) -> AsyncIterator[UpstreamClient]:
        async def trust() -> str:
            return self.trusted

        async def token() -> str | None:
            return "secret-token"

        client = UpstreamClient("metrics-server", Behind(**settings), trust=trust, token=token)  # type: ignore[arg-type]
        try:
            yield client
        finally:
            await client.close()


async def read(client: UpstreamClient) -> bytes:
    async with client.ask(PODS, "limit=500", "application/json") as reply:
        body, is_all = await reply.read(1000)
    assert is_all
    return body


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    made = Asking(tmp_path)
    async with made.server:
        yield made


async def test_the_question_carries_our_token_and_comes_as_it_was_asked(asking: Asking) -> None:
    assert b"PodMetricsList" in await asking.ask()
    path, headers = asking.server.asked[0]
    assert path == f"{PODS}?limit=500"
    assert headers["Authorization"] == "Bearer secret-token"
    assert headers["Accept-Encoding"] == "identity"


async def test_a_server_of_another_ca_gets_no_question(asking: Asking) -> None:
    asking.trusted = asking.other.pair.certificate.read_text()
    with pytest.raises(UpstreamError, match=r"its certificate cannot be verified: .*issuer"):
        await asking.ask()
    assert asking.server.asked == []


async def test_a_server_of_another_name_gets_no_question(asking: Asking) -> None:
    with pytest.raises(
        UpstreamError, match=r"metrics-server at https.*verified: Hostname mismatch"
    ):
        await asking.ask(name="elsewhere.kube-system.svc")
    assert asking.server.asked == []


async def test_verification_is_left_out_only_where_the_settings_say_so(asking: Asking) -> None:
    asking.trusted = ""
    with pytest.raises(UpstreamError):
        await asking.ask()
    assert b"PodMetricsList" in await asking.ask(insecure_upstream=True)


async def test_a_new_ca_counts_without_a_restart(asking: Asking) -> None:
    right, asking.trusted = asking.trusted, asking.other.pair.certificate.read_text()
    async with asking.client(url=asking.server.url, name=NAME) as client:
        with pytest.raises(UpstreamError):
            await read(client)
        asking.trusted += right
        assert b"PodMetricsList" in await read(client)


async def test_an_unreadable_ca_is_named(asking: Asking) -> None:
    asking.trusted = "no PEM"
    with pytest.raises(UpstreamError, match="the CAs to verify it by cannot be read"):
        await asking.ask()


async def test_the_deadline_holds_for_the_whole_answer(asking: Asking) -> None:
    asking.server.answering.clear()
    with pytest.raises(UpstreamError, match=r"no answer within 0\.2 s"):
        await asking.ask(deadline_seconds=0.2)
    asking.server.answering.set()
    async with asking.client(url=asking.server.url, name=NAME, deadline_seconds=0.3) as client:
        with pytest.raises(UpstreamError, match=r"no answer within 0\.3 s"):
            async with client.ask(PODS, "", "application/json"):
                await asyncio.sleep(5)


async def test_a_longer_answer_is_read_up_to_the_limit_and_the_rest_in_chunks(
    asking: Asking,
) -> None:
    asking.server.says[PODS] = b"x" * 200_000
    async with (
        asking.client(url=asking.server.url, name=NAME) as client,
        client.ask(PODS, "", "application/json") as reply,
    ):
        begun, is_all = await reply.read(1000)
        rest = [chunk async for chunk in reply.chunks()]
    assert not is_all
    assert len(begun) + sum(map(len, rest)) == 200_000
