"""The API server: its routes and who may use them, its socket, and how it stops."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from adapter.api import auth as policies
from adapter.api import custom, discovery, external, status
from adapter.api import fallthrough as fallthroughs
from adapter.api import resource as resources
from adapter.api.answers import Answers
from adapter.api.auth import Auth, Policy
from adapter.api.connection import MAX_CONNECTIONS, MAX_PER_PEER, RESERVED, Connection
from adapter.api.custom import PODS, Custom
from adapter.api.external import External
from adapter.api.fallthrough import Fallthrough
from adapter.api.resource import Resource
from adapter.api.turns import Turns
from adapter.errors import (
    AnswerError,
    MethodNotAllowed,
    NotFound,
    StartupError,
    Unauthorized,
    Unavailable,
)
from adapter.listen import BACKLOG, Gate, is_loopback, listen
from adapter.model.catalogue import EXTERNAL_GROUP, GROUP, VERSIONS
from adapter.model.owners import KNOWN, Owners
from adapter.settings import Api
from adapter.telemetry import Metrics, log

HANDSHAKE_SECONDS = 5.0
DRAIN_SECONDS = 5.0  # until every kube-apiserver has seen that the endpoint is not ready
SHUTDOWN_SECONDS = 2.0  # for answers that are being built


# Told of each query: its request, the status of its answer, and how many seconds it took.
Traced = Callable[[web.Request, int, float], None]


class Route(msgspec.Struct, frozen=True):
    """One way in. Its name is what the guard looks up the policy by."""

    name: str
    path: str
    handler: Handler
    policy: Policy


class Server:
    """Serves the metrics API; `auth` None is for a person's own machine and needs loopback."""

    def __init__(
        self,
        answers: Answers,
        *,
        owners: Owners = KNOWN,
        auth: Auth | None,
        metrics: Metrics,
        ready: Callable[[], str | None],
        now: Callable[[], float],
        resource: Resource | None = None,
        fallthrough: Fallthrough | None = None,
        traced: Traced | None = None,
    ) -> None:
        self._auth = auth
        self._metrics = metrics
        self._ready = ready
        self._now = now
        self._traced = traced
        self._draining = False
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._fallthrough = fallthrough
        self.routes = [*self._routes(answers, owners, resource), *_resource_routes(resource)]
        if fallthrough is not None:
            self.routes = [*_before(fallthrough, self.routes), _others(fallthrough)]
        self.app = self._application()

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before `start`."""
        sockets = self._listener.sockets if self._listener else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    async def start(self, settings: Api, context: ssl.SSLContext | None) -> None:
        """Listen. Raises StartupError naming the setting when that is impossible."""
        if self._auth is None and not is_loopback(settings.host):
            raise StartupError(
                f"api.host is {settings.host}, but without a kube-apiserver nobody is"
                " authenticated: set api.host to 127.0.0.1"
            )
        listening = listen("api", settings.host, settings.port)
        self._runner = web.AppRunner(self.app, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        server, gate = self._runner.server, Gate(MAX_CONNECTIONS, MAX_PER_PEER, RESERVED)
        assert server is not None  # noqa: S101 - setup makes it
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: Connection(server, gate, loop=loop),
            sock=listening,
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
        )

    async def stop(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Turn unready, serve on while clients notice, then close."""
        self._draining = True
        if self._listener is not None:
            await asyncio.sleep(drain_seconds)
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _routes(self, answers: Answers, owners: Owners, resource: Resource | None) -> list[Route]:
        probes = [
            Route(name, f"/{name}{{slash:/?}}", handler, policies.open_to_all)
            for name, handler in (
                ("livez", _alive),
                ("healthz", _alive),
                ("readyz", self._readiness),
            )
        ]
        documents = discovery.Documents(
            owners, lambda: answers.board().served, resource_metrics=resource is not None
        )
        read = [
            Route(
                f"document_{number}",
                path + "{slash:/?}",
                self._document(path, documents),
                policies.path_alone,
            )
            for number, path in enumerate(documents)
        ]
        return [*probes, *read, *_metrics(answers, owners)]

    def _application(self) -> web.Application:
        middlewares = [self._told()]
        if self._auth is not None:
            middlewares.append(
                self._auth.middleware({route.name: route.policy for route in self.routes})
            )
        probes = [route.name for route in self.routes if route.policy is policies.open_to_all]
        middlewares.append(Turns().middleware(probes))
        app = web.Application(middlewares=middlewares, client_max_size=1024)
        for route in self.routes:
            app.router.add_get(route.path, route.handler, name=route.name, allow_head=False)
        return app

    def _told(self) -> Middleware:
        """Return the outermost middleware: whatever happens becomes a Status, and is counted."""

        @web.middleware
        async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
            began = self._now()
            response = await _answer(request, handler)
            self._metrics.requests.labels(str(response.status)).inc()
            seconds = self._now() - began
            self._metrics.request_time.observe(seconds)
            if self._traced is not None:
                self._traced(request, response.status, seconds)
            if self._draining:
                response.force_close()
            return response

        return tell

    def _document(self, path: str, documents: discovery.Documents) -> Handler:
        async def handle(_: web.Request) -> web.StreamResponse:
            merged = self._fallthrough.documents if self._fallthrough else {}
            body = merged.get(path) or documents[path]
            return web.Response(body=body, content_type="application/json")

        return handle

    async def _readiness(self, _: web.Request) -> web.StreamResponse:
        why = "the adapter is stopping" if self._draining else self._ready()
        if why is not None:
            raise Unavailable(why)
        return await _alive(_)


def _resource_routes(resource: Resource | None) -> list[Route]:
    if resource is None:
        return []
    return [
        Route(
            f"resource_{name}",
            path + "{slash:/?}",
            resource.handle,
            policies.listed(resources.GROUP, resources.VERSION, name.partition("_")[0]),
        )
        for name, path in resources.PATHS.items()
    ]


def _before(fallthrough: Fallthrough, routes: list[Route]) -> list[Route]:
    return [
        msgspec.structs.replace(route, handler=fallthrough.before(route.handler))
        if route.name.startswith("custom")
        else route
        for route in routes
    ]


def _others(fallthrough: Fallthrough) -> Route:
    """Return the route of queries that no path of ours has."""
    return Route("others", fallthroughs.PATH, fallthrough.forward, fallthroughs.attributes)


def _metrics(answers: Answers, owners: Owners) -> list[Route]:
    objects, outside = Custom(answers, owners).handle, External(answers, owners).handle
    of_namespace, outside_path = policies.metric_of_namespace(GROUP), custom.outside_path(owners)
    routes = [
        Route("custom", custom.PATH, objects, policies.metric_of(GROUP)),
        Route("custom_node", custom.NODE_PATH, objects, policies.metric_of(GROUP)),
        Route("custom_namespace", custom.NAMESPACE_PATH, objects, of_namespace),
        Route("external", external.PATH, outside, policies.external_metric(EXTERNAL_GROUP)),
    ]
    if outside_path is not None:
        routes.append(Route("custom_outside", outside_path, objects, policies.metric_of(GROUP)))
    return routes


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except AnswerError as error:
        return _failure(error)
    except web.HTTPException as error:
        return _failure(_http_failure(request, error))
    # The last boundary: a client is told that it was us, and the log says where.
    except Exception:  # noqa: BLE001
        log.exception("answer_failed", extra={"fields": {"path": request.path}})
        body = status.encode(500, "the adapter failed to answer; its log says why")
        return web.Response(status=500, body=body, content_type="application/json")


def _failure(error: AnswerError) -> web.Response:
    body = status.of(error)
    response = web.Response(status=error.code, body=body, content_type="application/json")
    if isinstance(error, Unauthorized):
        response.force_close()  # a stranger keeps no connection
    return response


def _http_failure(request: web.Request, error: web.HTTPException) -> AnswerError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(
            f"{request.method[:20]} is not supported: metrics are read with GET"
        )
    return NotFound(
        f"nothing is served at {request.path[:200]}; metrics are at"
        f" /apis/{GROUP}/{VERSIONS[0]}/namespaces/NAMESPACE/{PODS}/NAME/METRIC (or another resource"
        f" in place of {PODS}: /apis/{GROUP}/{VERSIONS[0]} lists them)"
    )


async def _alive(_: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")
