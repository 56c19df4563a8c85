"""The client of a metrics API that stands behind this one: verified TLS, our token, a deadline."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from adapter.errors import UpstreamError
from adapter.settings import Behind

CONNECT_SECONDS = 1.0  # it is a Service of the same cluster
# Each caller of ours that waits holds one; whoever finds none waits within its own deadline.
CONNECTIONS = 64
_CHUNK_BYTES = 64 * 1024

Trust = Callable[[], Awaitable[str]]  # -> PEM of the CAs that its certificate may be of
Token = Callable[[], Awaitable[str | None]]


class UpstreamClient:
    """Asks one server; see adapter.upstream. Close it at the end."""

    def __init__(self, called: str, settings: Behind, *, trust: Trust, token: Token) -> None:
        self._called = called
        self._settings = settings
        self._trust = trust
        self._token = token
        self._origin = URL(settings.url).origin()
        self._pem = ""
        self._context: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def ask(self, path: str, query: str, accept: str) -> AsyncGenerator[Answer]:
        """GET the path; the deadline is for the question and all that is read of the answer."""
        deadline_seconds = self._settings.deadline_seconds
        try:
            async with (
                asyncio.timeout(deadline_seconds),
                await self._send(path, query, accept) as response,
            ):
                yield self._checked(response)
        except TimeoutError as error:
            raise self._failed(f"no answer within {deadline_seconds:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            why = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
            raise self._failed(f"its certificate cannot be verified: {why}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(str(error) or type(error).__name__) from error

    async def _send(self, path: str, query: str, accept: str) -> aiohttp.ClientResponse:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS)
            )
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        token = await self._token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        question = f"?{query}" if query else ""
        return await self._session.get(
            URL(f"{self._origin}{path}{question}", encoded=True),
            headers=headers,
            ssl=await self._verification(),
            server_hostname=self._settings.name or None,
            allow_redirects=False,
        )

    async def _verification(self) -> ssl.SSLContext | bool:
        """Return how its certificate is verified; the same context until the CAs change."""
        if self._settings.insecure_upstream:
            return False
        pem = await self._trust()
        if self._context is None or pem != self._pem:
            try:
                context = ssl.create_default_context(cadata=pem)
            except ssl.SSLError as error:
                raise self._failed(f"the CAs to verify it by cannot be read: {error}") from error
            # Cluster CAs often lack the key identifiers that Python 3.13 began to insist on.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            self._pem, self._context = pem, context
        return self._context

    def _checked(self, response: aiohttp.ClientResponse) -> Answer:
        if 300 <= response.status < 400 or response.content_type == "text/html":  # noqa: PLR2004
            raise self._failed(f"{response.status} {response.content_type} is no metrics API's")
        return Answer(response)

    def _failed(self, words: str) -> UpstreamError:
        return UpstreamError(f"{self._called} at {self._origin}: {words}")


class Answer:
    """One answer of an upstream; see adapter.upstream.Reply."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.content_type = response.headers.get("Content-Type", "application/octet-stream")
        self._body = response.content

    def chunks(self) -> AsyncIterator[bytes]:
        return self._body.iter_chunked(_CHUNK_BYTES)

    async def read(self, limit_bytes: int) -> tuple[bytes, bool]:
        parts, size = [], 0
        async for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > limit_bytes:
                return b"".join(parts), False
        return b"".join(parts), True
