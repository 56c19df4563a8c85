"""Authentication and authorization: who asks, what for, and whether that is allowed.

Denied is the rule. Only routes whose policy says so are open to everyone; a route without a policy
is closed to all. Identity comes from a front proxy's certificate or a bearer token, rights from the
API server, which was asked about proxied requests before, but need not have been.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from adapter.api.identity import MASTERS, FrontProxy, Identity
from adapter.api.reviews import DEADLINE_SECONDS, Reviews
from adapter.api.turns import CALLER
from adapter.cluster import Cluster, Json
from adapter.errors import Forbidden, NotFound, Unauthorized
from adapter.model.owners import NODE

# Every new token costs the API server a call, so strangers with random ones are held off early; new
# rights are asked for by known callers only: 400/s are 2,000 HPAs with three metrics each. Each
# user of kube-apiserver has that many, and all who come past it with a token have them together:
# every pod has a token, and none may use up what the HPA controller needs.
TOKENS_PER_SECOND = 20.0
RIGHTS_PER_SECOND = 400.0
# The longest path that Kubernetes' names allow is 900; what is asked for is remembered.
LONGEST_PATH = 1024

_SECRET = re.compile(r"[!-~]{1,8192}")  # visible ASCII


class Attributes(msgspec.Struct, frozen=True):
    """What is asked for, in the terms of RBAC: a resource, or else a path."""

    path: str = ""
    namespace: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    verb: str = "get"

    def spec(self) -> dict[str, object]:
        """Return the request's part of a SubjectAccessReview's spec."""
        if self.path:
            return {"nonResourceAttributes": {"path": self.path, "verb": "get"}}
        fields = ("verb", "namespace", "group", "version", "resource", "name", "subresource")
        return {"resourceAttributes": {f: getattr(self, f) for f in fields}}

    def words(self) -> str:
        """Return what kube-apiserver would say of it."""
        if self.path:
            return f'cannot get path "{self.path}"'
        resource = "/".join(filter(None, (self.resource, self.subresource)))
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return f'cannot {self.verb} resource "{resource}" in API group "{self.group}" {where}'


# What a request on a route asks for; None where anyone may ask.
Policy = Callable[[web.Request], Attributes | None]


def open_to_all(_: web.Request) -> None:
    """Policy of the probes."""


def path_alone(request: web.Request) -> Attributes:
    """Policy of discovery documents."""
    return Attributes(path=request.path)


def metric_of(group: str) -> Policy:
    """Return the policy of metrics: verb get on resource/metric of the API group.

    The path of a node outside of any namespace has neither that nor a resource.
    """

    def policy(request: web.Request) -> Attributes:
        place = request.match_info
        return Attributes(
            namespace=place.get("namespace", ""),
            group=group,
            version=place["version"],
            resource=place.get("resource", NODE.path),
            name=place["name"],
            subresource=place["metric"],
        )

    return policy


def listed(group: str, version: str, resource: str) -> Policy:
    """Return the policy of plain objects: verb get on one by its name, list on all."""

    def policy(request: web.Request) -> Attributes:
        place = request.match_info
        return Attributes(
            namespace=place.get("namespace", ""),
            group=group,
            version=version,
            resource=resource,
            name=place.get("name", ""),
            verb="get" if "name" in place else "list",
        )

    return policy


def metric_of_namespace(group: str) -> Policy:
    """Return the policy of a namespace's own metrics: verb get on one of its `metrics`."""

    def policy(request: web.Request) -> Attributes:
        place = request.match_info
        return Attributes(
            namespace=place["namespace"],
            group=group,
            version=place["version"],
            resource="metrics",
            name=place["metric"],
        )

    return policy


def external_metric(group: str) -> Policy:
    """Return the policy of external metrics: verb list on the metric, which is the resource."""

    def policy(request: web.Request) -> Attributes:
        place = request.match_info
        return Attributes(
            namespace=place["namespace"],
            group=group,
            version=place["version"],
            resource=place["metric"],
            verb="list",
        )

    return policy


class _Token:
    """A token that is compared by its digest, and never shown."""

    __slots__ = ("_digest", "secret")

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self._digest = hashlib.sha256(secret.encode()).digest()

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Token) and self._digest == other._digest


class Auth:
    """Decides about requests. `verify` returns the common name of a certificate (DER) that chains
    to the front proxies' CA, else None; `front_proxy` is replaced when the cluster's changes.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        verify: Callable[[bytes], str | None],
        now: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._verify = verify
        self.front_proxy = FrontProxy()
        self._tokens: Reviews[_Token, Identity | None] = Reviews(
            "TokenReview", self._review_token, now=now, per_second=TOKENS_PER_SECOND
        )
        self._rights: Reviews[tuple[Identity, Attributes], bool] = Reviews(
            "SubjectAccessReview",
            self._review_right,
            now=now,
            per_second=RIGHTS_PER_SECOND,
            payer=lambda right: right[0].account,
        )

    async def close(self) -> None:
        """Stop asking."""
        await self._tokens.close()
        await self._rights.close()

    def middleware(self, policies: Mapping[str, Policy]) -> Middleware:
        """Return the aiohttp middleware that lets a request through, by the name of its route."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            await self.admit(request, policies)
            return await handler(request)

        return guard

    async def admit(self, request: web.Request, policies: Mapping[str, Policy]) -> None:
        """Return when the request is allowed; raise Unauthorized, Forbidden or Unavailable."""
        policy = policies.get(request.match_info.route.name or "")
        attributes = policy(request) if policy else None
        if policy and attributes is None:
            return
        identity = await self.identify(request)
        request[CALLER] = identity.account
        if request.match_info.http_exception is not None:
            return  # no such route: there is nothing to guard, and the 404 or 405 helps
        if attributes is None:
            raise Forbidden(f"nobody may ask for {request.path}")
        if len(request.path) > LONGEST_PATH:
            raise NotFound(f"a path has {LONGEST_PATH} characters at most: nothing is named longer")
        await self.authorize(identity, attributes)

    async def identify(self, request: web.Request) -> Identity:
        """Return who asks; raise Unauthorized when no credential holds."""
        identity = self._proxied(request) or await self._bearer(request)
        if identity is None:
            raise Unauthorized(
                "Unauthorized: ask through kube-apiserver, or send a bearer token; client"
                " certificates are accepted of kube-apiserver's front proxy only"
            )
        return identity.authenticated()

    async def authorize(self, identity: Identity, attributes: Attributes) -> None:
        """Return when the user may get that; raise Forbidden when not."""
        if MASTERS in identity.groups:  # or the aggregator's probe would depend on reviews
            return
        if not await self._rights.get((identity, attributes)):
            raise Forbidden(f'User "{identity.user}" {attributes.words()}')

    def _proxied(self, request: web.Request) -> Identity | None:
        tls = request.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls else None
        if certificate is None:
            return None
        common_name = self._verify(certificate)
        if common_name is None or not self.front_proxy.allows(common_name):
            return None
        identity = self.front_proxy.identity(request.headers)
        return identity if identity is not None and _is_text(identity) else None

    async def _bearer(self, request: web.Request) -> Identity | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not _SECRET.fullmatch(secret.strip()):
            return None
        return await self._tokens.get(_Token(secret.strip()))

    async def _review_token(self, token: _Token) -> Identity | None:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token.secret},
        }
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        answer = await self._cluster.create(path, review, deadline_seconds=DEADLINE_SECONDS)
        return _reviewed_user(answer.get("status") or {})

    async def _review_right(self, question: tuple[Identity, Attributes]) -> bool:
        identity, attributes = question
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": identity.spec() | attributes.spec(),
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = await self._cluster.create(path, review, deadline_seconds=DEADLINE_SECONDS)
        status = answer.get("status") or {}
        return status.get("allowed") is True and not status.get("denied")


def _reviewed_user(status: Json) -> Identity | None:
    user = status.get("user") or {}
    if status.get("authenticated") is not True or not user.get("username"):
        return None
    extra = user.get("extra") or {}
    return Identity(
        user["username"],
        groups=tuple(user.get("groups") or ()),
        uid=user.get("uid") or "",
        extra=tuple(sorted((key, tuple(values)) for key, values in extra.items())),
        direct=True,
    )


def _is_text(identity: Identity) -> bool:
    """Return whether every word of it can be sent on; bytes that are no UTF-8 cannot."""
    words = [identity.user, identity.uid, *identity.groups]
    words += [word for key, values in identity.extra for word in (key, *values)]
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return True
