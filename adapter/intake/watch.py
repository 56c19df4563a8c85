"""The watch: a collection is listed page by page, then followed change by change, for ever.

Three things end a connection that still looks alive: the server itself after `timeoutSeconds`, no
byte for longer than bookmarks take, and a version that the server no longer has (410), after which
everything is listed again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import aiohttp
import msgspec

from adapter.cluster import Event, Json, Keep
from adapter.errors import IntakeError, KubeError
from adapter.telemetry import Once, event, warn

PAGE_ITEMS = 500
LIST_SECONDS = 30.0  # for one page; 500 pods are some megabytes
# client-go's reflectors use 5 to 10 minutes; the jitter keeps replicas from returning together.
WATCH_SECONDS = (260.0, 320.0)
# The API server sends a bookmark a minute on an idle watch; half of one more is slack.
SILENCE_SECONDS = 90.0
LIVELY_SECONDS = 5.0  # a watch that lasted this long was no failure
# A server restored from a backup refuses versions from its future for ever; a list heals that too.
FAILURES_BEFORE_LIST = 5
FIRST_DELAY_SECONDS = 0.5
LAST_DELAY_SECONDS = 30.0
# etcd holds 1.5 MiB an object; JSON of a protobuf object is a few times that.
MAX_EVENT_BYTES = 16 * 2**20

_PLAIN = "application/json"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
_GONE = 410
# What ends a connection; the last is an object nested deeper than the decoder goes.
_BROKEN = (KubeError, aiohttp.ClientError, OSError, msgspec.DecodeError, RecursionError)


class Transport(Protocol):
    """What a watch needs of the client."""

    async def page(
        self, path: str, params: Mapping[str, str], accept: str, deadline_seconds: float
    ) -> Json: ...

    def stream(
        self, path: str, params: Mapping[str, str], accept: str, silence_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]: ...


class _Message(msgspec.Struct):
    type: str
    object: dict[str, Any]


class Watch:
    """One followed collection; `events` is its only loop and ends by being closed or cancelled."""

    def __init__(
        self,
        transport: Transport,
        path: str,
        params: Mapping[str, str],
        *,
        metadata_only: bool,
        keep: Keep | None,
    ) -> None:
        self._transport = transport
        self._path = path
        self._params = dict(params)
        self._accepts = (_METADATA_LIST, _METADATA) if metadata_only else (_PLAIN, _PLAIN)
        self._keep = keep
        self._version = ""
        self._failures = 0
        self._once = Once(warn)
        self._decoder = msgspec.json.Decoder(_Message)

    async def events(self) -> AsyncIterator[Event]:
        """Yield a list first, then changes, and a list again whenever changes may be missed."""
        while True:
            try:
                items = await self._list()
            except KubeError as error:
                await self._pause(error)
                continue
            self._tell_recovery()
            yield Event("list", items)
            async for change in self._follow():
                yield change

    async def _list(self) -> list[Json]:
        items: list[Json] = []
        params = self._params | {"limit": str(PAGE_ITEMS)}
        while True:
            page = await self._transport.page(self._path, params, self._accepts[0], LIST_SECONDS)
            found = page.get("items") or []
            items.extend(found if self._keep is None else filter(None, map(self._kept, found)))
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                self._version = metadata.get("resourceVersion", "")
                return items
            params["continue"] = metadata["continue"]

    def _kept(self, item: Json) -> Json | None:
        """Return what is kept of an object; one that cannot be read is told once and left out."""
        try:
            return self._keep(item) if self._keep is not None else item
        except (IntakeError, LookupError, ValueError, TypeError, AttributeError) as error:
            metadata = item.get("metadata") or {}
            name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
            key = f"{self._path} {name}"
            self._once("object_unreadable", key, str(error), path=self._path, object=name)
            return None

    async def _follow(self) -> AsyncIterator[Event]:
        """Yield changes over as many connections as it takes; end when a list is needed."""
        clock = asyncio.get_running_loop().time
        while True:
            opened = clock()
            trouble: Exception | None = None
            try:
                async for change in self._connection():
                    self._failures = 0
                    yield change
            except _BROKEN as error:
                trouble = error
            if clock() - opened >= LIVELY_SECONDS:
                self._failures = 0
            else:
                await self._pause(trouble or KubeError(0, "Closed", "the watch ended at once"))
            gone = isinstance(trouble, KubeError) and trouble.code == _GONE
            if gone or self._failures >= FAILURES_BEFORE_LIST:
                return

    async def _connection(self) -> AsyncIterator[Event]:
        params = self._params | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(random.uniform(*WATCH_SECONDS))),  # noqa: S311 - jitter
        }
        accept = self._accepts[1]
        async with self._transport.stream(self._path, params, accept, SILENCE_SECONDS) as chunks:
            self._tell_recovery()
            async for line in _lines(chunks):
                message = self._decoder.decode(line)
                change = self._change(message)
                if change is not None:
                    yield change

    def _change(self, message: _Message) -> Event | None:
        if message.type == "ERROR":
            status = message.object
            code, reason = int(status.get("code") or 0), str(status.get("reason", ""))
            raise KubeError(code, reason, str(status.get("message", "")))
        metadata = message.object.get("metadata") or {}
        self._version = metadata.get("resourceVersion") or self._version
        if message.type not in ("ADDED", "MODIFIED", "DELETED"):  # a bookmark
            return None
        return Event(message.type, message.object)  # type: ignore[arg-type] # checked above

    def _tell_recovery(self) -> None:
        if self._once.clear(self._path):
            event("watch_recovered", path=self._path)

    async def _pause(self, trouble: Exception) -> None:
        """Wait a random part of a time that doubles with each failure in a row."""
        self._failures += 1
        # The first is no news: a watch may end early by a server's restart or a 410.
        if self._failures > 1:
            words = str(trouble) or type(trouble).__name__
            self._once("watch_failed", self._path, words, path=self._path)
        longest = min(LAST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(self._failures - 1, 10))
        await asyncio.sleep(random.uniform(0.2, 1.0) * longest)  # noqa: S311 - jitter


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Split a stream at newlines; an unfinished last line is dropped with its connection."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        head, *rest = chunk.split(b"\n")
        parts.append(head)
        size += len(head)
        if size > MAX_EVENT_BYTES:
            raise KubeError(0, "TooLarge", f"an event is longer than {MAX_EVENT_BYTES} bytes")
        for tail in rest:
            line = b"".join(parts)
            if line:
                yield line
            parts, size = [tail], len(tail)
