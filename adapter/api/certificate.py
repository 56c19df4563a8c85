"""The certificate that is served: one CA for all replicas, a leaf of each replica's own, renewed.

The CA lives in one named Secret that is only ever created: of two replicas that start at the same
moment the second finds the name taken and reads the first one's. Whoever deletes the Secret gets a
new CA: replicas notice when they look after the APIServices, and issue themselves a new leaf.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Self

from adapter.api import tls
from adapter.api.tls import Authority, Leaf, Verifier
from adapter.cluster import Cluster, Json
from adapter.errors import KubeError, StartupError
from adapter.settings import Settings
from adapter.telemetry import event, warn

CERTIFICATE = "tls.crt"
KEY = "tls.key"
_DAY = 86_400.0
_RETRY_SECONDS = 60.0
_NOT_FOUND = 404
_CONFLICT = 409


class Certificate:
    """This replica's serving certificate. `context` is for the server and stays the same object."""

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        authority: Authority,
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._authority = authority
        self._clock = clock
        self._verifier = Verifier()
        self._client_authorities: tuple[str, ...] = ()
        self._leaf = self._issue()
        self._current = tls.server_context(self._leaf, ())
        # Every handshake is handed over to the newest context: a live one could take in a new
        # chain, but never let go of a CA.
        self.context = tls.server_context(self._leaf, ())
        self.context.sni_callback = self._choose

    @classmethod
    async def obtain(
        cls, cluster: Cluster, settings: Settings, clock: Callable[[], float] = time.time
    ) -> Self:
        """Return a certificate of the CA in the Secret, which is created where there is none.

        Raises KubeError when the API server does not answer or refuses, StartupError when the
        Secret holds no CA.
        """
        return cls(cluster, settings, await _authority(cluster, settings, clock), clock)

    async def authority_pem(self) -> bytes:
        """Return the CA as the Secret has it now; a new one is taken over with a new leaf.

        Raises as `obtain`.
        """
        found = await _authority(self._cluster, self._settings, self._clock)
        if found.pem != self._authority.pem:
            event("authority_replaced", secret=self._settings.tls.secret)
            self._authority = found
            self._renew()
        return self._authority.pem

    @property
    def bundle(self) -> bytes:
        """The CAs (PEM) of which a certificate that we issued may be."""
        return self._authority.pem

    def issue(self, names: Sequence[str]) -> Leaf:
        """Return a serving certificate of the CA for other DNS names."""
        days = self._settings.tls.leaf_days
        return tls.new_leaf(self._authority, names, days, self._clock())

    def renewal_of(self, pem: bytes) -> float:
        """Return when a certificate is to be renewed (Unix seconds); 0.0 if it is not of the CA."""
        return tls.renewal(pem, self._authority)

    def trust(self, front_proxies: str, clients: str) -> None:
        """Take these CAs (PEM) in place of those before; only the first make a front proxy.

        Those of the cluster's clients complete a handshake, to be told that they get 401. Raises
        ValueError, and keeps what it had, when a PEM cannot be read.
        """
        try:
            current = tls.server_context(self._leaf, (front_proxies, clients))
        except ssl.SSLError as error:
            raise ValueError(f"the CAs of clients cannot be read: {error}") from error
        self._verifier.trust(front_proxies)
        self._client_authorities = (front_proxies, clients)
        self._current = current

    def front_proxy_name(self, der: bytes) -> str | None:
        """Return the common name of a front proxy's certificate, None for any other."""
        return self._verifier.common_name(der, self._clock())

    async def run(self) -> None:
        """Renew the leaf at two thirds of its life, until cancelled."""
        while True:
            wait = self._leaf.renew_at - self._clock()
            if wait > 0:
                # Not in one sleep: a suspended machine's monotonic clock does not go on.
                await asyncio.sleep(min(wait, _RETRY_SECONDS))
                continue
            try:
                await self.authority_pem()
            except (KubeError, StartupError) as error:
                warn("authority_unreadable", why=str(error))
            self._renew()

    def _renew(self) -> None:
        self._leaf = self._issue()
        self._current = tls.server_context(self._leaf, self._client_authorities)
        event("certificate_renewed", until=self._leaf.renew_at)

    def _issue(self) -> Leaf:
        api = self._settings.api
        names = (
            f"{api.service}.{api.namespace}.svc",  # what the aggregator asks for
            f"{api.service}.{api.namespace}.svc.cluster.local",
            api.service,
            "localhost",  # for a person behind kubectl port-forward
        )
        return self.issue(names)

    def _choose(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = self._current


async def _authority(cluster: Cluster, settings: Settings, clock: Callable[[], float]) -> Authority:
    """Return the CA in the Secret; create it where there is none, and read it where that lost."""
    collection = f"/api/v1/namespaces/{settings.api.namespace}/secrets"
    path = f"{collection}/{settings.tls.secret}"
    try:
        return _read(await cluster.get(path), settings, clock())
    except KubeError as error:
        if error.code != _NOT_FOUND:
            raise
    fresh = tls.new_authority(f"{settings.api.service}-ca", clock())
    try:
        await cluster.create(collection, _secret(settings, fresh))
    except KubeError as error:
        if error.code != _CONFLICT:
            raise
        return _read(await cluster.get(path), settings, clock())
    event("authority_created", secret=settings.tls.secret)
    return fresh


def _secret(settings: Settings, authority: Authority) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": settings.tls.secret,
            "namespace": settings.api.namespace,
            "labels": {"app.kubernetes.io/managed-by": "forescale"},
        },
        "data": {
            CERTIFICATE: base64.b64encode(authority.pem).decode(),
            KEY: base64.b64encode(authority.key_pem).decode(),
        },
    }


def _read(secret: Json, settings: Settings, now: float) -> Authority:
    data = secret.get("data") or {}
    try:
        parts = [base64.b64decode(data.get(key) or "", validate=True) for key in (CERTIFICATE, KEY)]
        authority = tls.read_authority(*parts)
    except (ValueError, TypeError, binascii.Error) as error:
        raise _unusable(settings, str(error)) from error
    # A leaf must never outlive its CA.
    if authority.expires_at < now + settings.tls.leaf_days * _DAY:
        raise _unusable(settings, "its certificate ends before a new leaf would")
    return authority


def _unusable(settings: Settings, why: str) -> StartupError:
    name, namespace = settings.tls.secret, settings.api.namespace
    return StartupError(
        f"Secret {namespace}/{name} holds no usable CA ({why}): delete it"
        f" (kubectl -n {namespace} delete secret {name}) and a new one is made"
    )
