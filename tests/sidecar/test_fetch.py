"""Owns the proof that a page behind TLS or a token is read, and that the token is told nobody."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509

from sidecar import fetch, search
from sidecar.fetch import MAX_TOKEN_BYTES, Access, FetchError
from sidecar.search import Candidate
from tests.controlplane import pki

TOLD = "s3cret-0f-the-pod"
NAME = "llm.default.svc"


class Guarded:
    """A page for those that know the token; it keeps what it was asked with."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Authorization", ""))
        known = self.asked[-1] == f"Bearer {self.token}"
        return web.Response(text="up 1\n") if known else web.Response(status=401)


@asynccontextmanager
async def guarded(
    token: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Guarded, str]]:
    guard = Guarded(token)
    app = web.Application()
    app.router.add_get("/metrics", guard.handle)
    server = TestServer(app, scheme="https" if tls else "http")
    await server.start_server(ssl=tls, shutdown_timeout=0.1)
    try:
        yield guard, str(server.make_url("/metrics"))
    finally:
        await server.close()


def candidate(url: str) -> Candidate:
    return search.at(url)[0]


async def get(url: str, access: Access) -> bytes | str:
    """Return the page, or why there is none."""
    async with fetch.session(2) as http:
        try:
            return await fetch.get(http, candidate(url), access)
        except FetchError as error:
            return str(error)


def serving(folder: Path, signer: pki.Authority) -> ssl.SSLContext:
    pair = pki.serving(signer, folder / "engine", "engine", [x509.DNSName(NAME)])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


async def test_a_rotated_token_counts_for_the_next_page(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old-token\n")
    access = Access(token_file=str(token))
    async with guarded(TOLD) as (guard, url):
        refused = await get(url, access)
        token.write_text(TOLD + "\n")
        assert await get(url, access) == b"up 1\n"
    assert guard.asked == ["Bearer old-token", f"Bearer {TOLD}"]
    assert (
        refused
        == f"{url} answers 401: name a file that holds its bearer token with --engine-token-file"
    )
    assert TOLD not in repr(access)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b"", "is empty or longer than"),
        (b"x" * (MAX_TOKEN_BYTES + 1), "is empty or longer than"),
        (b"two words", "holds no bearer token"),
        (b"a\r\nX-Evil: 1", "holds no bearer token"),
        ("tök".encode(), "holds no bearer token"),
    ],
)
async def test_a_file_without_a_token_asks_for_nothing(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    async with guarded(TOLD) as (guard, url):
        said = await get(url, Access(token_file=str(token)))
    assert isinstance(said, str)
    assert said.startswith(f"--engine-token-file {token}: {why}")
    assert guard.asked == []


async def test_a_page_behind_tls_is_read_by_its_ca_and_the_name_in_its_certificate(
    tmp_path: Path,
) -> None:
    authority = pki.authority(tmp_path / "ca", "engine-ca")
    access = Access(ca_file=str(authority.pair.certificate), server_name=NAME)
    async with guarded("", serving(tmp_path, authority)) as (_, url):
        assert url.startswith("https://127.0.0.1:")
        assert "answers 401" in str(await get(url, access))


async def test_a_certificate_of_another_ca_or_name_is_refused_with_the_settings_to_change(
    tmp_path: Path,
) -> None:
    authority = pki.authority(tmp_path / "ca", "engine-ca")
    other = pki.authority(tmp_path / "other", "other-ca")
    async with guarded("", serving(tmp_path, authority)) as (guard, url):
        for access in (
            Access(ca_file=str(other.pair.certificate), server_name=NAME),
            Access(ca_file=str(authority.pair.certificate), server_name="elsewhere"),
            Access(ca_file=str(authority.pair.certificate)),
            Access(),
        ):
            said = str(await get(url, access))
            assert said.startswith(f"{url} is not trusted: ")
            assert said.endswith("(--engine-ca-file, --engine-tls-name)")
    assert guard.asked == []


async def test_a_replaced_ca_counts_after_the_certificate_was_refused_once(tmp_path: Path) -> None:
    authority = pki.authority(tmp_path / "ca", "engine-ca")
    file = tmp_path / "trusted.crt"
    file.write_bytes(pki.authority(tmp_path / "old", "old-ca").pair.certificate.read_bytes())
    access = Access(ca_file=str(file), server_name=NAME)
    async with guarded("", serving(tmp_path, authority)) as (_, url):
        assert "is not trusted" in str(await get(url, access))
        file.write_bytes(authority.pair.certificate.read_bytes())
        assert "answers 401" in str(await get(url, access))


async def test_a_ca_file_that_is_none_is_said(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    said = str(await get("https://127.0.0.1:9/metrics", Access(ca_file=str(file))))
    assert said.startswith(f"--engine-ca-file {file}: ")


@pytest.mark.parametrize("status", [404, 501])
async def test_an_engine_whose_page_is_switched_off_gets_the_hint(status: int) -> None:
    async def off(_: web.Request) -> web.Response:
        return web.json_response({"error": "off"}, status=status)

    app = web.Application()
    app.router.add_get("/metrics", off)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    url = str(server.make_url("/metrics"))
    async with fetch.session(2) as http:
        with pytest.raises(fetch.NoPage, match=f"answers {status}: start it with --metrics"):
            await fetch.get(http, Candidate(url, (), "start it with --metrics"), Access())
    await server.close()
