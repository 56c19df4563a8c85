"""The API server over plain HTTP, with the admin's certificate: JSON in, JSON out."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self

import aiohttp

Json = dict[str, Any]

REQUEST_SECONDS = 15.0
CONNECT_SECONDS = 5.0
# The server ends a watch after this long and the caller starts it again; a bookmark comes each
# minute, so a connection silent for longer than that is dead.
WATCH_SECONDS = 240
SILENCE_SECONDS = 90.0

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
FIRST_ERROR, NOT_FOUND, CONFLICT, GONE = 400, 404, 409, 410
TEMPORARY = (429, 500, 503, 504)
POLL_SECONDS = 0.1


class ApiError(Exception):
    """The API server said no: `code` and `reason` as in its Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may be answered a moment later."""
        return self.code in TEMPORARY


class Unreachable(Exception):
    """No answer: the API server is away, or did not answer in time."""


class Api:
    """One client; use it as an async context manager, in one event loop."""

    def __init__(self, server: str, credentials: ssl.SSLContext) -> None:
        self.server = server
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(ssl=self._credentials, limit=0)
        self._session = aiohttp.ClientSession(self.server, connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use `async with Api(...)`")
        return self._session

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return await self._request("GET", path, query=query)

    async def post(self, path: str, body: Json) -> Json:
        return await self._request("POST", path, body)

    async def put(self, path: str, body: Json) -> Json:
        return await self._request("PUT", path, body)

    async def delete(self, path: str, body: Json | None = None) -> Json:
        return await self._request("DELETE", path, body)

    async def patch(self, path: str, body: Json, *, content_type: str = MERGE_PATCH) -> Json:
        return await self._request("PATCH", path, body, content_type=content_type)

    async def until(
        self, path: str, accepts: Callable[[Json], bool], *, timeout_seconds: float = 30.0
    ) -> Json:
        """Reads `path` until `accepts` likes the object; TimeoutError with the last one seen."""
        deadline = time.monotonic() + timeout_seconds
        while not accepts(found := await self.get(path)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} after {timeout_seconds:g} s: {json.dumps(found)}")
            await asyncio.sleep(POLL_SECONDS)
        return found

    async def appears(self, path: str, *, timeout_seconds: float = 30.0) -> Json:
        """Waits until `path` is there; returns it."""
        await self._until_found(path, timeout_seconds, wanted=True)
        return await self.get(path)

    async def gone(self, path: str, *, timeout_seconds: float = 30.0) -> None:
        """Waits until `path` is a 404."""
        await self._until_found(path, timeout_seconds, wanted=False)

    async def _until_found(self, path: str, timeout_seconds: float, *, wanted: bool) -> None:
        deadline = time.monotonic() + timeout_seconds
        while await self._is_there(path) != wanted:
            if time.monotonic() > deadline:
                state = "not there" if wanted else "still there"
                raise TimeoutError(f"{path} is {state} after {timeout_seconds:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def _is_there(self, path: str) -> bool:
        try:
            await self.get(path)
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            return False
        return True

    async def watch(self, path: str, resource_version: str) -> AsyncIterator[Json]:
        """The events since `resource_version`, until the server or the connection ends it.

        An ERROR event is raised as ApiError (410 means: list again), a lost server as Unreachable.
        """
        query = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        try:
            async with self.session.get(path, params=query, timeout=timeout) as response:
                await _raise_for_status(response)
                async for line in _lines(response.content):
                    yield _event(line)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"watch {path}: {error!r}") from error

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        try:
            async with self.session.request(
                method, path, data=data, params=query, headers=headers
            ) as response:
                await _raise_for_status(response)
                answer: Json = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{method} {path}: {error!r}") from error
        return answer


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # aiohttp's own line reader refuses lines over 128 KiB; a pod may be larger.
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _event(line: bytes) -> Json:
    event: Json = json.loads(line)
    if event["type"] == "ERROR":
        raise _error(event["object"])
    return event


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status < FIRST_ERROR:
        return
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:
        status = {}
    raise _error({"code": response.status, "reason": response.reason, "message": text} | status)


def _error(status: Json) -> ApiError:
    return ApiError(
        int(status.get("code", 0)), str(status.get("reason", "")), str(status.get("message", ""))
    )
