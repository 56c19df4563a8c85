"""The fetch: one metrics page over HTTP, and what its absence means."""

from __future__ import annotations

import asyncio
import errno
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from sidecar.search import Candidate

# vLLM's page is about 100 KB with every histogram in use; a page of another order is no page.
MAX_PAGE_BYTES = 2 * 1024 * 1024
MAX_TOKEN_BYTES = 16 * 1024

# What a connection ends with where no server is. A full backlog is none of these (it times out),
# and neither is a shortage of this process, such as EMFILE.
NO_SERVER = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)
# llama.cpp answers 501 where others answer 404: its page is switched off.
NO_PAGE = (404, 501)
READY_SECONDS = 1.0  # an endpoint of the same pod that says 200 or not
UNAUTHORIZED = (401, 403)

HEADERS = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}


class FetchError(Exception):
    """A page that could not be had; the text says why, in words for the pod's owner.

    `failure` is the same in one word of a fixed few, to count by.
    """

    def __init__(self, why: str, failure: str) -> None:
        super().__init__(why)
        self.failure = failure


class NoPage(FetchError):
    """A server that is up and shows no such page: no model is being waited for."""

    def __init__(self, why: str, failure: str = "no_page") -> None:
        super().__init__(why, failure)


class JsonPage(NoPage):
    """A server that answers JSON there: reading it again may take it from another reader."""


class NoServer(FetchError):
    """Nothing listens: a server that is only busy would let the connection wait instead."""

    def __init__(self, why: str) -> None:
        super().__init__(why, "no_server")


@dataclass(slots=True)
class Access:
    """How the page is asked for: by TLS that is verified, and with a bearer token from a file.

    The token is read for each page, so that a rotated one counts at once; it is in no text. The CA
    is read again after a certificate was refused.
    """

    token_file: str | None = None
    ca_file: str | None = None
    server_name: str | None = None  # the name in the certificate, where the URL has another
    _tls: ssl.SSLContext | None = field(default=None, repr=False)

    async def headers(self) -> dict[str, str]:
        """Return what proves the right to read; raise FetchError when the token cannot be read."""
        if self.token_file is None:
            return {}
        try:
            token = await asyncio.to_thread(_token, Path(self.token_file))
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            raise FetchError(f"--engine-token-file {self.token_file}: {said}", "token") from None
        return {"Authorization": f"Bearer {token}"}

    async def tls(self, url: str) -> ssl.SSLContext | bool:
        """Return what verifies the server; raise FetchError when the CA cannot be read."""
        if not url.startswith("https:"):
            return True
        if self._tls is None:
            try:
                context = await asyncio.to_thread(ssl.create_default_context, cafile=self.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise FetchError(f"--engine-ca-file {self.ca_file}: {error}", "tls") from None
            self._tls = context
        return self._tls

    def distrust(self) -> None:
        """Read the CA again for the next page."""
        self._tls = None


def _token(path: Path) -> str:
    with path.open("rb") as file:
        text = file.read(MAX_TOKEN_BYTES + 1).strip()
    if not text or len(text) > MAX_TOKEN_BYTES:
        raise ValueError(f"is empty or longer than {MAX_TOKEN_BYTES} bytes")
    if not text.isascii() or not text.decode().isprintable() or b" " in text:
        raise ValueError("holds no bearer token: it must be one printable word")
    return text.decode()


def session(timeout_seconds: float) -> aiohttp.ClientSession:
    """Return a client that keeps to this pod: no proxies, no cookies, nothing unpacked."""
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=4),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=HEADERS,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        trust_env=False,
    )


async def get(http: aiohttp.ClientSession, candidate: Candidate, access: Access) -> bytes:
    """Return the page; raise FetchError with the reason in words."""
    url = candidate.url
    headers, tls = await access.headers(), await access.tls(url)
    name = access.server_name if url.startswith("https:") else None
    try:
        async with http.get(
            url, allow_redirects=False, headers=headers, ssl=tls, server_hostname=name
        ) as answer:
            _check(answer, candidate)
            return await _body(answer, url)
    except TimeoutError:
        raise FetchError(f"{url} did not answer in time", "timeout") from None
    except aiohttp.ClientSSLError as error:
        access.distrust()
        raise FetchError(f"{url} is not trusted: {_tls_words(error)}", "tls") from None
    except aiohttp.ClientConnectorError as error:
        raise _unreached(url, error.os_error) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchError(f"{url} broke off: {type(error).__name__}", "broken_off") from None


async def is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    """Tell whether a server's own readiness endpoint answers 200; never raise."""
    limit = aiohttp.ClientTimeout(total=READY_SECONDS)
    try:
        async with http.get(url, allow_redirects=False, timeout=limit) as answer:
            return answer.status == 200  # noqa: PLR2004 - the status itself is clearest
    except (aiohttp.ClientError, OSError, ValueError):  # TimeoutError is an OSError
        return False


def _tls_words(error: aiohttp.ClientSSLError) -> str:
    cause = getattr(error, "certificate_error", None) or error.os_error
    return f"{cause} (--engine-ca-file, --engine-tls-name)"


def _unreached(url: str, error: OSError) -> FetchError:
    if error.errno == errno.ECONNREFUSED:
        return NoServer(f"{url} refuses connections")
    said = f"{url} cannot be reached: {error}"
    return NoServer(said) if error.errno in NO_SERVER else FetchError(said, "unreachable")


def _check(answer: aiohttp.ClientResponse, candidate: Candidate) -> None:
    if answer.status in NO_PAGE:
        raise NoPage(f"{candidate.url} answers {answer.status}: {candidate.hint}")
    if answer.status in UNAUTHORIZED:
        said = f"{candidate.url} answers {answer.status}: name a file that holds its bearer token"
        raise NoPage(f"{said} with --engine-token-file", "unauthorized")
    if 300 <= answer.status < 400:  # noqa: PLR2004 - the statuses themselves are clearest
        raise NoPage(f"{candidate.url} redirects, which is not followed: {candidate.hint}")
    if answer.status != 200:  # noqa: PLR2004
        raise FetchError(f"{candidate.url} answers {answer.status}", "status")
    if answer.content_type == "application/json":
        raise JsonPage(f"{candidate.url} answers JSON, no metrics: {candidate.hint}")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        said = f"{candidate.url} answers compressed, which was not asked for"
        raise FetchError(said, "compressed")


async def _body(answer: aiohttp.ClientResponse, url: str) -> bytes:
    page = bytearray()
    async for piece in answer.content.iter_any():
        page += piece
        if len(page) > MAX_PAGE_BYTES:
            raise FetchError(f"{url} is longer than {MAX_PAGE_BYTES} bytes", "too_long")
    return bytes(page)
