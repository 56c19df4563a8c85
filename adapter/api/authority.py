"""The self-issued CA: one Secret for all replicas, made by the first, replaced at two thirds.

The Secret is only ever created, or changed by whoever read its last version: of two replicas that
do the same at the same moment the second finds out, and reads what the first one wrote.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapter.api import tls
from adapter.api.tls import Authority, Leaf
from adapter.cluster import Cluster, Json
from adapter.errors import KubeError, StartupError
from adapter.settings import Settings
from adapter.telemetry import event

CERTIFICATE = "tls.crt"
KEY = "tls.key"
_DAY = 86_400.0
_NOT_FOUND = 404
_CONFLICT = 409


class Issuer(Protocol):
    """What a serving certificate comes from; `pem` is the CA, empty where somebody else tells."""

    @property
    def pem(self) -> bytes: ...

    def leaf(self) -> Leaf:
        """Return a certificate to serve now."""


class Source(Protocol):
    """Where the issuer is read; `look_seconds` is how often that is worth a look."""

    look_seconds: float

    async def current(self) -> Issuer:
        """Return it as it is now; raise KubeError or StartupError."""


@dataclass(frozen=True, slots=True)
class SelfIssued:
    """Our own CA, which issues as many leaves as one likes."""

    authority: Authority
    names: Sequence[str]
    days: float
    clock: Callable[[], float]

    @property
    def pem(self) -> bytes:
        return self.authority.pem

    def leaf(self) -> Leaf:
        return self.issue(self.names)

    def issue(self, names: Sequence[str]) -> Leaf:
        """Return a leaf for these DNS names; it never outlives its CA."""
        left = (self.authority.expires_at - self.clock()) / _DAY
        return tls.new_leaf(self.authority, names, min(self.days, left), self.clock())


class SecretAuthority:
    """The CA in the Secret `tls.secret` of our namespace."""

    look_seconds = 60.0

    def __init__(
        self, cluster: Cluster, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        namespace = settings.api.namespace
        self._collection = f"/api/v1/namespaces/{namespace}/secrets"
        self._path = f"{self._collection}/{settings.tls.secret}"

    async def first(self) -> SelfIssued:
        """Return the CA as it is, made where there is none; an old one is not replaced yet.

        Raises KubeError when the API server does not answer or refuses, StartupError when the
        Secret holds no CA.
        """
        return self._issuer(await self._read(due=lambda found: found.expires_at))

    async def current(self) -> SelfIssued:
        """Return the CA; a new one after two thirds of its life. Raises as `first`."""
        return self._issuer(await self._read(due=lambda found: found.renew_at))

    async def _read(self, due: Callable[[Authority], float]) -> Authority:
        try:
            secret = await self._cluster.get(self._path)
        except KubeError as error:
            if error.code != _NOT_FOUND:
                raise
            return await self._create()
        found = self._parsed(secret)
        return found if self._clock() < due(found) else await self._replace(secret)

    async def _create(self) -> Authority:
        fresh = self._fresh()
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {
                "name": self._settings.tls.secret,
                "namespace": self._settings.api.namespace,
                "labels": {"app.kubernetes.io/managed-by": "forescale"},
            },
            "data": _data(fresh),
        }
        try:
            await self._cluster.create(self._collection, body)
        except KubeError as error:
            return await self._taken(error)
        event("authority_created", secret=self._settings.tls.secret)
        return fresh

    async def _replace(self, secret: Json) -> Authority:
        fresh = self._fresh()
        metadata = {"resourceVersion": secret["metadata"].get("resourceVersion")}
        try:
            await self._cluster.patch(self._path, {"metadata": metadata, "data": _data(fresh)})
        except KubeError as error:
            return await self._taken(error)
        event("authority_replaced", secret=self._settings.tls.secret)
        return fresh

    async def _taken(self, error: KubeError) -> Authority:
        """Return the CA that another replica wrote at the same moment."""
        if error.code != _CONFLICT:
            raise error
        return self._parsed(await self._cluster.get(self._path))

    def _fresh(self) -> Authority:
        name = f"{self._settings.api.service}-ca"
        return tls.new_authority(name, self._settings.tls.ca_days, self._clock())

    def _issuer(self, authority: Authority) -> SelfIssued:
        api = self._settings.api
        names = (
            f"{api.service}.{api.namespace}.svc",  # what the aggregator asks for
            f"{api.service}.{api.namespace}.svc.cluster.local",
            api.service,
            "localhost",  # for a person behind kubectl port-forward
        )
        return SelfIssued(authority, names, self._settings.tls.leaf_days, self._clock)

    def _parsed(self, secret: Json) -> Authority:
        data = secret.get("data") or {}
        try:
            parts = [
                base64.b64decode(data.get(key) or "", validate=True) for key in (CERTIFICATE, KEY)
            ]
            return tls.read_authority(*parts)
        except (ValueError, TypeError, binascii.Error) as error:
            name, namespace = self._settings.tls.secret, self._settings.api.namespace
            raise StartupError(
                f"Secret {namespace}/{name} holds no usable CA ({error}): delete it"
                f" (kubectl -n {namespace} delete secret {name}) and a new one is made"
            ) from error


def _data(authority: Authority) -> dict[str, str]:
    pems = {CERTIFICATE: authority.pem, KEY: authority.key_pem}
    return {key: base64.b64encode(pem).decode() for key, pem in pems.items()}
