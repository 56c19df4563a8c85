"""A small API server on loopback: objects in memory, lists in pages, watches, reviews, and faults.

For what a real kube-apiserver will not do on request: hang, compact its history, cut connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

Json = dict[str, Any]
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class FakeApiServer:
    """Use as an async context manager; `kubeconfig(folder)` writes one that leads here."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, Json]] = {}
        self.calls: Counter[str] = Counter()  # "GET /path"
        self.queries: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.users: dict[str, Json] = {}  # token -> user of its TokenReview
        self.allows: Callable[[Json], bool] = lambda _: False  # of a SubjectAccessReview's spec
        self.reviewed: list[Json] = []
        self.answering = asyncio.Event()  # cleared: every request hangs
        self.answering.set()
        self.refusals: dict[str, Json] = {}  # "GET /path" -> Status
        self.texts: dict[str, str] = {}  # path -> a page that is no JSON
        self.port = 0
        self._version = itertools.count(1)
        self._newest = 0
        self._compacted = 0
        self._history: list[tuple[int, str, Json]] = []  # version, collection, watch event
        self._changed = asyncio.Condition()
        self._watches: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site.port
        return self

    async def __aexit__(self, *_: object) -> None:
        self.answering.set()
        self.cut()
        assert self._runner is not None
        await self._runner.cleanup()

    def kubeconfig(self, folder: Path, token: str = "adapter") -> str:  # noqa: S107 - a fake's
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": cluster}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "fake", "user": "me"}}],
            "current-context": "it",
        }
        path = folder / f"{token}.kubeconfig"
        path.write_text(json.dumps(content))
        return str(path)

    def cut(self) -> None:
        """End every watch that is open, in the middle of its answer."""
        for task in self._watches:
            task.cancel()

    def compact(self) -> None:
        """Forget the history: a watch from before now gets 410."""
        self._compacted = self._newest
        self._history.clear()

    def put(self, collection: str, body: Json) -> Json:
        """Create or replace an object as somebody else would."""
        name = body["metadata"]["name"]
        known = self.collections.setdefault(collection, {}).get(name)
        return self._store(collection, copy.deepcopy(body), "MODIFIED" if known else "ADDED")

    def remove(self, collection: str, name: str) -> None:
        """Delete an object as somebody else would."""
        gone = self.collections[collection].pop(name)
        self._record(collection, "DELETED", gone)

    def get(self, collection: str, name: str) -> Json:
        return self.collections[collection][name]

    def _store(self, collection: str, body: Json, kind: str) -> Json:
        metadata = body["metadata"]
        metadata.setdefault("uid", f"uid-{next(self._version)}")
        self.collections.setdefault(collection, {})[metadata["name"]] = body
        self._record(collection, kind, body)
        return body

    def _record(self, collection: str, kind: str, body: Json) -> None:
        self._newest = next(self._version)
        body["metadata"]["resourceVersion"] = str(self._newest)
        event = {"type": kind, "object": copy.deepcopy(body)}
        self._history.append((self._newest, collection, event))
        asyncio.get_running_loop().create_task(self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = f"{request.method} {request.path}"
        self.calls[call] += 1
        self.queries.append(dict(request.query))
        self.headers.append(dict(request.headers))
        await self.answering.wait()
        if call in self.refusals:
            return _status(**self.refusals[call])
        if request.query.get("watch") == "true":
            return await self._watch(request)
        if request.path in self.texts:
            return web.Response(text=self.texts[request.path])
        body = await request.json() if request.can_read_body else {}
        return self._answer(request, body)

    def _answer(self, request: web.Request, body: Json) -> web.Response:
        collection, _, name = request.path.rpartition("/")
        match request.method:
            case "POST":
                return self._create(request.path, body)
            case "GET" if name in self.collections.get(collection, {}):
                return web.json_response(self.collections[collection][name])
            case "GET" if _is_collection(request.path):
                return self._list(request)
            case "PATCH" if name in self.collections.get(collection, {}):
                return self._patch(collection, name, body)
            case "DELETE" if name in self.collections.get(collection, {}):
                return self._delete(collection, name, body)
        return _status(404, "NotFound", f'"{name}" not found')

    def _create(self, collection: str, body: Json) -> web.Response:
        if collection in (TOKEN_REVIEWS, ACCESS_REVIEWS):
            return self._review(collection, body)
        metadata = body["metadata"]
        if "generateName" in metadata:
            metadata["name"] = f"{metadata['generateName']}{next(self._version)}"
        if metadata["name"] in self.collections.get(collection, {}):
            return _status(409, "AlreadyExists", f'"{metadata["name"]}" already exists')
        return web.json_response(self._store(collection, body, "ADDED"), status=201)

    def _review(self, path: str, body: Json) -> web.Response:
        spec = body["spec"]
        self.reviewed.append(spec)
        if path == ACCESS_REVIEWS:
            return web.json_response(body | {"status": {"allowed": self.allows(spec)}}, status=201)
        user = self.users.get(spec["token"])
        status = {"authenticated": True, "user": user} if user else {"error": "unknown token"}
        return web.json_response(body | {"status": status}, status=201)

    def _list(self, request: web.Request) -> web.Response:
        objects = sorted(self.collections.get(request.path, {}).items())
        wanted = _named(request)
        items = [body for name, body in objects if not wanted or name == wanted]
        start, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 500))
        metadata = {"resourceVersion": str(self._newest)}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        page = items[start : start + limit]
        return web.json_response({"kind": "List", "metadata": metadata, "items": page})

    def _patch(self, collection: str, name: str, body: Json) -> web.Response:
        known = self.collections[collection][name]
        version = body.get("metadata", {}).get("resourceVersion")
        if version not in (None, known["metadata"]["resourceVersion"]):
            return _status(409, "Conflict", "the object has been modified")
        return web.json_response(self._store(collection, _merged(known, body), "MODIFIED"))

    def _delete(self, collection: str, name: str, options: Json) -> web.Response:
        uid = options.get("preconditions", {}).get("uid")
        if uid not in (None, self.collections[collection][name]["metadata"]["uid"]):
            return _status(409, "Conflict", "the UID differs")
        self.remove(collection, name)
        return web.json_response({"kind": "Status", "status": "Success"})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"] or 0)
        wanted = _named(request)
        response = web.StreamResponse()
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            await response.prepare(request)
            if since < self._compacted:
                gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                await response.write(_line({"type": "ERROR", "object": gone}))
                return response
            await self._stream(response, request.path, wanted, since)
        except asyncio.CancelledError:
            # The client sees the chunked answer break off, as from a server that died.
            if request.transport is not None:
                request.transport.abort()
            raise
        finally:
            self._watches.discard(task)
        return response

    async def _stream(
        self, response: web.StreamResponse, collection: str, wanted: str, since: int
    ) -> None:
        while True:
            for version, where, event in list(self._history):
                name = event["object"]["metadata"]["name"]
                if version > since and where == collection and wanted in ("", name):
                    with contextlib.suppress(ConnectionError):
                        await response.write(_line(event))
            since = max(since, self._newest)
            async with self._changed:
                await self._changed.wait_for(lambda seen=since: self._newest > seen)


def _named(request: web.Request) -> str:
    """Return the one name that is asked for; what else a field selector chooses is all the same."""
    prefix = "metadata.name="
    selector = request.query.get("fieldSelector", "")
    return selector.removeprefix(prefix) if selector.startswith(prefix) else ""


def _is_collection(path: str) -> bool:
    parts = path.strip("/").split("/")
    if "namespaces" in parts:
        parts = parts[parts.index("namespaces") :]
        return len(parts) == 3
    return len(parts) == (3 if parts[0] == "api" else 4)


def _merged(base: Json, change: Json) -> Json:
    result = copy.deepcopy(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return web.json_response(body | {"reason": reason, "message": message}, status=code)


def _line(event: Json) -> bytes:
    return json.dumps(event).encode() + b"\n"
