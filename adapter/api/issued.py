"""The certificate of metrics-server: issued by our CA into a Secret that it mounts, and renewed.

Without it metrics-server signs one for itself, which nobody can verify. The Secret is made by the
person who installs the component; it is only ever changed here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable

from adapter.api.authority import CERTIFICATE, KEY
from adapter.api.certificate import Certificate
from adapter.cluster import Cluster, Json
from adapter.errors import KubeError
from adapter.telemetry import Once, event, warn

LOOK_SECONDS = 60.0  # as often as the kubelet looks whether a mounted Secret changed
RETRY_SECONDS = 5.0
_CONFLICT = 409


class Issued:
    """Keeps the certificate for `name` in the Secret `namespace/name`."""

    def __init__(
        self,
        cluster: Cluster,
        certificate: Certificate,
        *,
        secret: str,
        name: str,
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._certificate = certificate
        self._secret = secret
        self._name = name
        self._clock = clock
        self._once = Once(warn)

    async def run(self) -> None:
        """Look after it until cancelled."""
        while True:
            try:
                await self._look()
            except KubeError as error:
                self._once("secret_unwritten", self._secret, str(error), secret=self._secret)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._once.clear(self._secret)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        namespace, _, name = self._secret.partition("/")
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        found = await self._cluster.get(path)
        if self._certificate.renewal_of(_certificate(found)) > self._clock():
            return
        leaf = self._certificate.issue((self._name,))
        data = {CERTIFICATE: _text(leaf.certificate_pem), KEY: _text(leaf.key_pem)}
        metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
        try:
            await self._cluster.patch(path, {"metadata": metadata, "data": data})
        except KubeError as error:
            if error.code != _CONFLICT:  # the other replica was faster
                raise
            return
        event("certificate_issued", secret=self._secret, dns=self._name, until=leaf.renew_at)


def _certificate(secret: Json) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {}).get(CERTIFICATE) or "", validate=True)
    except (ValueError, TypeError, binascii.Error):
        return b""


def _text(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
