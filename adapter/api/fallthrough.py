"""The fallthrough: custom metrics that are not ours, asked of the adapter that had the group.

An API group has one server. Where this adapter took the group over, queries for any other metric
go on to the one behind it, with our token, after the caller's rights were looked at here; its
answers and errors come back as they are. What it serves is listed beside ours in discovery, as last
heard of it: ours never waits for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from adapter.api import discovery
from adapter.api.auth import Attributes
from adapter.api.relay import passed_on
from adapter.errors import NotFound, UpstreamError
from adapter.model.catalogue import GROUP, VERSIONS
from adapter.model.owners import KNOWN, Owners
from adapter.model.queried import NOTHING, Board
from adapter.model.target import SERVED
from adapter.telemetry import Once, event, warn
from adapter.upstream import Upstream

PATH = f"/apis/{GROUP}/{{version:v1beta1|v1beta2}}/{{rest:.+}}"
LOOK_SECONDS = 30.0  # half of what kube-apiserver waits between two looks at ours
UNHEARD_SECONDS = 5.0  # until it was read once: a takeover waits for that
MAX_DOCUMENT_BYTES = 8 * 2**20
# Another adapter may list every series of a Prometheus; kubectl alone reads the list, and slowly.
MAX_NAMES = 5_000

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}/[^/%\s]{1,253}")
_OK = 200

Documents = Mapping[str, bytes]


class Fallthrough:
    """Forwards queries, and keeps discovery; `run` looks at the other adapter's."""

    def __init__(
        self,
        upstream: Upstream,
        owners: Owners = KNOWN,
        board: Callable[[], Board] = lambda: NOTHING,
    ) -> None:
        self._upstream = upstream
        self._owners = owners
        self._board = board
        self._theirs: dict[str, list[dict[str, Any]]] = {}  # by version, as last heard
        self._unread: dict[str, str] = {}  # by version, why the last look failed
        self._once = Once(warn)
        self.documents: Documents = {}  # by path; a version that was never heard of is not there

    async def run(self) -> None:
        """Look at what the other adapter serves, until cancelled."""
        while True:
            for version in VERSIONS:
                await self._look(version)
            await asyncio.sleep(LOOK_SECONDS if self._theirs else UNHEARD_SECONDS)

    def hindrance(self) -> str | None:
        """Return why its metrics cannot be asked through us; None once it was heard of."""
        if self._theirs:
            return None
        why = next(iter(self._unread.values()), "it has not answered yet")
        return (
            f"its metrics cannot be asked through this adapter ({why}). Its address is"
            " fallthrough.url; its certificate is verified by fallthrough.caFile, or by this"
            " adapter's CA, which issues it one by fallthrough.secret"
        )

    def state(self) -> str:
        """Return in words whether the other adapter answers us."""
        if not self._theirs:
            return self.hindrance() or ""
        if len(self._unread) == len(VERSIONS):
            return f"queries for its metrics fail: {next(iter(self._unread.values()))}"
        return f"answers, {max(map(len, self._theirs.values()))} resources"

    def before(self, ours: Handler) -> Handler:
        """Return a handler that answers our metrics by `ours` and forwards all others."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if self._is_ours(request.match_info["metric"]):
                return await ours(request)
            return await self.forward(request)

        return handle

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Answer as the other adapter does; raise an AnswerError when it gives no answer."""
        asked = attributes(request)
        if asked.path:
            raise NotFound(f"nothing is served at {request.path[:200]}")
        metric = asked.subresource or asked.name
        if self._is_ours(metric):
            raise NotFound(f"{metric} is not served at this path")
        path = f"/apis/{GROUP}/{self._version(asked.version)}/{_inside(asked)}"
        accept = request.headers.get("Accept", "application/json")
        return await passed_on(
            request, self._upstream.ask(path, request.rel_url.raw_query_string, accept)
        )

    def _is_ours(self, metric: str) -> bool:
        return metric in SERVED or bool(self._board().kinds(metric))

    def _version(self, asked: str) -> str:
        """Return a version that the other adapter has; clients take either spelling for the other.

        The one that was asked for while it is not known which it has.
        """
        if asked in self._theirs or not self._theirs:
            return asked
        return next(iter(self._theirs))

    async def _look(self, version: str) -> None:
        path = f"/apis/{GROUP}/{version}"
        try:
            found = _listed(await self._document(path))
        except (UpstreamError, msgspec.DecodeError) as error:
            self._unread[version] = str(error)
            self._once("fallthrough_unknown", version, str(error), version=version)
            return
        self._unread.pop(version, None)
        if self._once.clear(version) or found != self._theirs.get(version):
            event("fallthrough_read", version=version, resources=len(found))
        self._theirs[version] = found
        merged = discovery.resources_with(self._owners, version, found, self._board().served)
        self.documents = {**self.documents, path: merged}

    async def _document(self, path: str) -> bytes:
        async with self._upstream.ask(path, "", "application/json") as reply:
            body, is_all = await reply.read(MAX_DOCUMENT_BYTES)
            if reply.status != _OK or not is_all:
                raise UpstreamError(f"{path}: {reply.status}, {len(body)} bytes")
            return body


def attributes(request: web.Request) -> Attributes:
    """Policy: return what a query below the group asks for; the bare path where it is no query."""
    version = request.match_info["version"]
    rest = request.rel_url.raw_path.removeprefix(f"/apis/{GROUP}/{version}/").rstrip("/")
    parts = [unquote(part) for part in rest.split("/")]
    if any(part in ("", ".", "..") for part in parts):
        return Attributes(path=request.path)
    match parts:
        case ["namespaces", namespace, "metrics", metric]:
            place = {"namespace": namespace, "resource": "metrics", "name": metric}
        case ["namespaces", namespace, resource, name, metric]:
            place = {"namespace": namespace, "resource": resource, "name": name}
            place["subresource"] = metric
        case [resource, name, metric] if resource != "namespaces":
            place = {"resource": resource, "name": name, "subresource": metric}
        case _:
            return Attributes(path=request.path)
    return Attributes(group=GROUP, version=version, **place)


def _inside(asked: Attributes) -> str:
    """Return the path below the version anew from what was authorized."""
    parts = ["namespaces", asked.namespace] if asked.namespace else []
    parts += filter(None, (asked.resource, asked.name, asked.subresource))
    return "/".join(quote(part, safe="") for part in parts)


class _Resource(msgspec.Struct):
    name: str
    namespaced: bool


class _List(msgspec.Struct):
    resources: list[_Resource] = []


def _listed(body: bytes) -> list[dict[str, Any]]:
    """Return the metrics of another adapter's list, as we would write them."""
    found = msgspec.json.decode(body, type=_List).resources
    return [discovery.metric(r.name, namespaced=r.namespaced) for r in _fitting(found)]


def _fitting(found: Iterable[_Resource]) -> list[_Resource]:
    return [resource for resource in found if _NAME.fullmatch(resource.name)][:MAX_NAMES]
